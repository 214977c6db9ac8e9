"""``reseen serve GALLERY``."""

import secrets
from pathlib import Path
from urllib.parse import quote

from reseen.encoding import load
from reseen.errors import ReseenError
from reseen.extras import needs
from reseen.gallery import Gallery
from reseen.terminal import Terminal


def serve(
    gallery: str,
    /,
    *,
    model: Path,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    open_to_all: bool = False,
    approximate_above: int | None = None,
    batch: int = 32,
    device: str | None = None,
) -> None:
    """Serve a gallery over HTTP: a page to search it by picture, and the addresses behind the page.

    Args:
        gallery: A folder, or milvus://host:port/name; made if there is none.
        model: The model that the gallery was indexed with: a run, a checkpoint, or an .onnx file, which needs no torch.
        host: The address to listen on; another than 127.0.0.1 lets other machines in, and there is no encryption.
        port: As it says; 0 for any that is free.
        token: What clients have to know; made up and printed if not given.
        open_to_all: Ask for no token.
        approximate_above: Search larger galleries than this approximately.
        batch: Pictures that go through the model together at most.
        device: Where the model runs; a GPU where there is one if not given.
    """
    with needs("serve"):
        from reseen.serving import Limits, create_app, listen, run
        from reseen.serving.server import names
    if open_to_all and token is not None:
        raise ReseenError("expected a token or --open_to_all, got both; leave one out")
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token and len(token) >= 8):
        raise ReseenError("expected a token of at least 8 letters and digits without spaces; leave it out to get one")
    if batch < 1:
        raise ReseenError(f"expected a batch of at least 1, got {batch}")
    asked = None if open_to_all else token or secrets.token_urlsafe(24)
    encoder = load(model, device)
    with (
        Gallery(gallery, encoder.fingerprint, approximate_above=approximate_above) as kept,
        listen(host, port) as listening,
    ):
        app = create_app(kept, encoder, token=asked, hosts=names(host), limits=Limits(batch=batch))
        console = Terminal(soft_wrap=True)
        console.print(f"{len(kept):,} sightings in {gallery}; stop with Ctrl-C")
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        key = "" if asked is None else f"#token={quote(asked, safe='')}"
        console.print(f"page: http://{shown}:{listening.getsockname()[1]}/{key}", markup=False)
        run(app, listening)
    console.print("stopped")
