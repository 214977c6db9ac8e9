"""Download of files: kept, resumed, checked by SHA-256 on every use; or a mirror in place of all addresses.

An address is ``https://...`` or ``hf:owner/repository/file@revision``, of the Hugging Face hub. The environment's
``RESEEN_MODELS`` names a mirror, a folder or ``https://...``, in which the files lie by their names; no other address
is then asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import logging
import os
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from reseen.errors import CheckpointError, MissingLibraryError, one_line
from reseen.files import make_folder, replacing

logger = logging.getLogger(__name__)

CHUNK = 1 << 20
TIMEOUT = 30.0
MIRROR = "RESEEN_MODELS"
DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
HUB = "https://huggingface.co"


def is_address(source: str) -> bool:
    """Tell whether a source is an address of the web rather than a path."""
    return source.startswith(("http://", "https://"))


def is_hub_address(source: str) -> bool:
    """Tell whether a source is an address of the Hugging Face hub, ``hf:owner/repository``."""
    return source.startswith("hf:")


def web_address(address: str) -> str:
    """Return the address of the web at which a browser finds a published file.

    Args:
        address: ``https://...``, ``hf:owner/repository/file@revision``, or ``drive:ID`` of Google Drive.
    """
    if is_hub_address(address):
        path, _, revision = address.removeprefix("hf:").partition("@")
        owner, repository, file = path.split("/", 2)
        return f"{_endpoint()}/{owner}/{repository}/resolve/{revision or 'main'}/{file}"
    return address.replace("drive:", DRIVE, 1) if address.startswith("drive:") else address


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or HUB


def cache_folder() -> Path:
    """Return the folder of what was fetched: ``reseen`` in that of ``torch.hub``, which ``TORCH_HOME`` moves."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return Path(os.environ.get("TORCH_HOME") or caches / "torch").expanduser() / "hub" / "reseen"


def fetch(address: str) -> Path:
    """Return the file behind an address, from the cache where it is there already.

    Args:
        address: Of the hub; or of the web, ending in ``#sha256=`` and the 64 digits that the file must hash to.

    Raises:
        ValueError: The address has no such ending, or is none of the hub.
        CheckpointError: The file cannot be fetched, or hashes to something else.
        WriteError: The cache cannot be written.
    """
    if is_hub_address(address):
        return fetch_from_hub(address)
    url, _, fragment = address.partition("#")
    expected = fragment.removeprefix("sha256=").lower()
    if len(expected) != 64 or not set(expected) <= set("0123456789abcdef"):
        raise ValueError(f"expected an address that ends in #sha256= and 64 digits, got {address!r}; add the hash")
    name = Path(urllib.parse.urlparse(url).path).name or "weights"
    return download(url, cache_folder() / f"{expected[:16]}-{name}", digest=expected)


def obtain(address: str, name: str, *, digest: str | None) -> Path:
    """Return a published file: of the mirror, of the cache, or from its address.

    Args:
        address: Where it was published: ``https://...``, ``hf:...``, or ``drive:ID`` of Google Drive.
        name: Of the file, in the mirror and in the cache.
        digest: What it must hash to; None: what it hashed to when it was first fetched.

    Raises:
        CheckpointError: It cannot be had, or hashes to something else.
        WriteError: The cache cannot be written.
    """
    mirror = mirror_of_models()
    if isinstance(mirror, Path):
        return of_folder(mirror, name, digest, address)
    if mirror is not None:
        address = f"{mirror}/{urllib.parse.quote(name)}"
    elif is_hub_address(address):
        path = fetch_from_hub(address, mirrored_as=name)
        if digest is not None:
            require_digest(path, digest, address)
        return path
    return download(web_address(address), cache_folder() / name, digest=digest)


def mirror_of_models() -> Path | str | None:
    """Return the mirror that the environment names: a folder, or an address of the web; None where it names none."""
    mirror = os.environ.get(MIRROR, "").rstrip("/")
    if not mirror or is_address(mirror):
        return mirror or None
    return Path(urllib.request.url2pathname(mirror.removeprefix("file://")))


def of_folder(folder: Path, name: str, digest: str | None, address: str) -> Path:
    """Return a file of a mirror that is a folder."""
    path = folder / name
    if not path.is_file():
        raise CheckpointError(
            f"expected {name} in {folder}, the mirror that {MIRROR} names, found no such file; "
            f"put it there from {web_address(address)}"
        )
    if digest is not None:
        require_digest(path, digest, str(path))
    return path


def download(url: str, target: Path, *, digest: str | None) -> Path:
    """Return a file that is kept, fetched first if it is not; a cut download goes on where it stopped.

    Args:
        url: Where it is.
        target: Where it is kept; beside it, what it hashes to.
        digest: What it must hash to; None for what was noted when it was fetched.

    Raises:
        CheckpointError: The file cannot be fetched, or hashes to something else.
        WriteError: The cache cannot be written.
    """
    noted = target.with_name(f"{target.name}.sha256")

    def is_kept() -> bool:
        expected = digest or (noted.read_text().strip() if noted.is_file() else None)
        return target.is_file() and expected is not None and hash_of(target) == expected

    if is_kept():
        return target
    make_folder(target.parent)
    part = target.with_name(f"{target.name}.part")
    with replacing(target) as draft:
        if is_kept():  # Another process has fetched it while this one waited.
            target.replace(draft)
            return target
        try:
            logger.info("fetching %s", url)
            actual = _receive(url, part)
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", None) or error
            reason = getattr(cause, "strerror", None) or one_line(cause)
            raise CheckpointError(
                f"expected weights at {url}, got {reason}; try again, or fetch them elsewhere and give the file, or "
                f"put it as {target.name} into a folder that {MIRROR} names"
            ) from error
        if digest is not None and actual != digest:
            part.unlink()
            raise CheckpointError(f"expected {url} to hash to {digest}, got {actual}; the file is not what was meant")
        noted.write_text(f"{actual}\n")
        part.replace(draft)
    return target


def _receive(url: str, part: Path) -> str:
    """Fetch a file, going on with the part that is there, and return what it hashes to.

    Raises:
        OSError: It cannot be fetched, or ends too early.
        CheckpointError: It is a page of the web.
    """
    tag = part.with_name(f"{part.name}.etag")
    request = urllib.request.Request(url, headers={"User-Agent": "reseen"})
    if part.is_file() and tag.is_file():
        request.add_header("Range", f"bytes={part.stat().st_size}-")
        request.add_header("If-Range", tag.read_text())
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        goes_on = answer.status == 206
        if (etag := answer.headers.get("ETag")) and not etag.startswith("W/"):
            tag.write_text(etag)
        else:
            tag.unlink(missing_ok=True)
        expected, received = answer.headers.get("Content-Length"), 0
        with part.open("ab" if goes_on else "wb") as file:
            while chunk := answer.read(CHUNK):
                if received == 0 and not goes_on and chunk[:15].lower().startswith((b"<!doctype html", b"<html")):
                    raise CheckpointError(
                        f"expected weights at {url}, got a page of the web; open it in a browser, fetch the file there "
                        f"and give it, or put it into a folder that {MIRROR} names"
                    )
                file.write(chunk)
                received += len(chunk)
    if expected is not None and received != int(expected):
        raise OSError(f"{received:,} of {int(expected):,} bytes before the connection ended, which are kept")
    tag.unlink(missing_ok=True)
    return hash_of(part)


OWN = ("model.safetensors", "last.safetensors", "model.onnx")
"""Names of the file of a model of one's own in a repository of the hub, the first that is there."""


def fetch_own(address: str) -> Path:
    """Return the file of a model of one's own on the Hugging Face hub.

    Args:
        address: ``hf:owner/repository@revision``, or with a file as for `fetch_from_hub`.

    Raises:
        CheckpointError: There is none, or the hub cannot be reached.
    """
    path, at, revision = address.removeprefix("hf:").partition("@")
    if path.count("/") != 1:
        return fetch_from_hub(address)
    if (mirror := mirror_of_models()) is not None:
        folder = mirror / path if isinstance(mirror, Path) else None
        names = [file.name for file in folder.iterdir()] if folder is not None and folder.is_dir() else [OWN[0]]
    else:
        with _needs_hub_library():
            from huggingface_hub import list_repo_files, try_to_load_from_cache
        names = [name for name in OWN if isinstance(try_to_load_from_cache(path, name, revision=revision or None), str)]
        if _hub_is_reachable():
            try:
                names = list_repo_files(path, revision=revision or None)
            except Exception as error:  # its own kinds, those of its client, and of the system
                raise _not_on_hub(path, error, f"{path}/{OWN[0]}") from error
        elif not names:
            names = [OWN[0]]
    if (name := next((name for name in OWN if name in names), None)) is None:
        raise CheckpointError(
            f"expected one of {', '.join(OWN)} in {path} on the Hugging Face hub, found {', '.join(names[:8])}; "
            f"name the file, as in hf:{path}/FILE"
        )
    return fetch_from_hub(f"hf:{path}/{name}{at}{revision}")


def fetch_from_hub(address: str, *, mirrored_as: str | None = None) -> Path:
    """Return a file of the Hugging Face hub, which its own library fetches, keeps and resumes.

    Args:
        address: ``hf:owner/repository/file@revision``; without a revision, that of ``main``.
        mirrored_as: Name of the file in a mirror; None for ``owner/repository/file``.

    Raises:
        ValueError: It is no such address.
        CheckpointError: There is no such file, or the hub cannot be reached.
    """
    path, _, revision = address.removeprefix("hf:").partition("@")
    owner, _, rest = path.partition("/")
    repository, _, file = rest.partition("/")
    if not (owner and repository and file):
        raise ValueError(f"expected hf:owner/repository/file@revision, got {address!r}")
    mirror = mirror_of_models()
    if isinstance(mirror, Path):
        return of_folder(mirror, path, None, address)
    if mirror is not None:
        return download(f"{mirror}/{urllib.parse.quote(path)}", cache_folder() / path, digest=None)
    with _needs_hub_library():
        from huggingface_hub import hf_hub_download, try_to_load_from_cache

    name = f"{owner}/{repository}"
    cached = try_to_load_from_cache(name, file, revision=revision or None)
    if isinstance(cached, str) and revision:
        return Path(cached)
    is_reachable = _hub_is_reachable()
    if isinstance(cached, str) and not is_reachable:
        return Path(cached)
    if not is_reachable:
        raise CheckpointError(
            f"expected weights at {web_address(address)}, which cannot be reached; connect, or fetch them elsewhere "
            f"and give the file, or put it as {mirrored_as or path} into a folder that {MIRROR} names"
        )
    try:
        return Path(hf_hub_download(name, file, revision=revision or None))
    except Exception as error:  # its own kinds, those of its client, and of the system
        raise _not_on_hub(f"{file} of {name}", error, mirrored_as or path) from error


@contextlib.contextmanager
def _needs_hub_library() -> Iterator[None]:
    """Say how to install the hub's library, which may not be where reseen was installed without torch."""
    try:
        yield
    except ModuleNotFoundError:
        raise MissingLibraryError(
            "expected the library huggingface_hub, which is not installed; run: pip install huggingface_hub, or put "
            f"the file into a folder that {MIRROR} names"
        ) from None


def _hub_is_reachable() -> bool:
    """Tell at once whether there is a way to the hub, whose own library tries five times."""
    endpoint = urllib.parse.urlparse(_endpoint())
    if proxies := urllib.request.getproxies():
        endpoint = urllib.parse.urlparse(proxies.get(endpoint.scheme, proxies.get("all", endpoint.geturl())))
    try:
        with socket.create_connection((endpoint.hostname or "", endpoint.port or 443), timeout=5):
            return True
    except OSError:
        return False


def _not_on_hub(wanted: str, error: Exception, mirrored_as: str) -> CheckpointError:
    return CheckpointError(
        f"expected {wanted} on the Hugging Face hub, got {type(error).__name__}: {one_line(error, limit=120)}; "
        f"connect, run hf auth login where it asks for that, or put the file as {mirrored_as} into a "
        f"folder that {MIRROR} names"
    )


def require_digest(path: Path, digest: str, source: str) -> None:
    """Make sure that a file is what was meant.

    Raises:
        CheckpointError: It is not.
    """
    if (actual := hash_of(path)) != digest:
        raise CheckpointError(f"expected {source} to hash to {digest}, got {actual}; the file is not what was meant")


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
