"""``reseen serve GALLERY``."""

import os
import secrets
from pathlib import Path
from urllib.parse import quote

from reseen.cli.models import open_model
from reseen.errors import ReseenError
from reseen.extras import needs
from reseen.gallery import Gallery
from reseen.terminal import Terminal
from reseen.zoo import DEFAULT

ADVICE = "at least 8 letters and digits without spaces"


def serve(
    gallery: str,
    /,
    *,
    model: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    names: list[str] | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    root_path: str = "",
    token: str | None = None,
    token_file: Path | None = None,
    read_token_file: Path | None = None,
    open_to_all: bool = False,
    approximate_above: int | None = None,
    batch: int = 32,
    device: str | None = None,
) -> None:
    """Serve a gallery over HTTP: a page to search it by picture, and the addresses behind the page.

    Args:
        gallery: A folder, or milvus://host:port/name; made if there is none.
        model: The model that the gallery was indexed with: a name, a run, a checkpoint, or an exported file, which
            needs no torch; a published model, which is fetched, if not given.
        host: Address to listen on; another than 127.0.0.1 lets other machines in.
        port: Port to listen on; 0 picks a free one.
        names: Further host names by which clients call the server, as [gallery.lan]; addresses are always allowed.
        certificate: PEM file of a certificate: serve https.
        key: PEM file of the certificate's private key, if it is not in the same file.
        root_path: Prefix that a proxy in front takes off, as /reseen.
        token: Token of clients that search and write; other users of this machine can see it. One is made and printed
            if there is none, here, in token_file or in the environment variable RESEEN_TOKEN.
        token_file: File with that token.
        read_token_file: File with the token of clients that may only search; also RESEEN_READ_TOKEN.
        open_to_all: Ask for no token.
        approximate_above: Search larger galleries than this approximately.
        batch: Largest batch of the model, in pictures.
        device: Device of the model; a GPU where there is one if not given.
    """
    with needs("serve"):
        from reseen.serving import Limits, allowed_names, check_certificate, create_app, listen, run
    write_token = token_of("token", token, token_file, "RESEEN_TOKEN")
    read_token = token_of("read_token", None, read_token_file, "RESEEN_READ_TOKEN")
    if open_to_all and (write_token is not None or read_token is not None):
        raise ReseenError("expected a token or --open_to_all, got both; leave one out")
    if write_token is not None and write_token == read_token:
        raise ReseenError("expected two tokens, got the same to write and to read; choose another")
    if batch < 1:
        raise ReseenError(f"expected a batch of at least 1, got {batch}")
    if root_path and not (root_path.startswith("/") and root_path.isascii() and not root_path.endswith("/")):
        raise ReseenError(f"expected a root_path such as /reseen, got {root_path!r}; begin with a slash, end without")
    if key is not None and certificate is None:
        raise ReseenError("expected --certificate beside --key, got none; name the certificate's file")
    if certificate is not None:
        check_certificate(certificate, key)
    is_shown = token is not None  # One in a file or in the environment is meant not to be seen.
    if not open_to_all and write_token is None:
        write_token, is_shown = secrets.token_urlsafe(24), True
    encoder, limits = open_model(model, device, gallery=gallery), Limits(batch=batch)
    with (
        Gallery(
            gallery, encoder.fingerprint, model_name=model or DEFAULT, approximate_above=approximate_above
        ) as store,
        listen(host, port) as listening,
    ):
        hosts = allowed_names(host, names or ())
        app = create_app(store, encoder, token=write_token, read_token=read_token, hosts=hosts, limits=limits)
        console = Terminal()
        console.print(f"{len(store):,} pictures in {gallery}; stop with Ctrl-C")
        address = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        scheme = "http" if certificate is None else "https"
        page = f"{scheme}://{address}:{listening.getsockname()[1]}/"
        fragment = f"#token={quote(write_token or '', safe='')}" if is_shown else ""
        console.print(f"page: {page}{fragment}")
        run(app, listening, limits=limits, root_path=root_path, certificate=certificate, key=key)
    console.print("stopped")


def token_of(option: str, token: str | None, file: Path | None, variable: str) -> str | None:
    """Return a token from an option, a file or the environment, whichever there is.

    Raises:
        ReseenError: There are two, the file cannot be read, or it is no token.
    """
    if token is not None and file is not None:
        raise ReseenError(f"expected --{option} or --{option}_file, got both; leave one out")
    place = f"--{option}"
    if file is not None:
        place = f"--{option}_file {file}"
        try:
            token = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ReseenError(f"expected a token in {file}, got: {error}; write one there, of {ADVICE}") from None
    elif token is None:
        place, token = f"the environment variable {variable}", os.environ.get(variable)
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token and len(token) >= 8):
        raise ReseenError(f"expected a token of {ADVICE} in {place}, got another; leave it out to get one")
    return token
