"""Folders of this machine and of object stores (S3, Google Cloud Storage, Azure, HDFS), by ``pyarrow.fs``.

A location is a path, or a URL as ``s3://bucket/folder?region=eu-west-1``; credentials come from where the store's own
tools look for them. Needs no torch.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.fs as fs

from reseen.errors import DataError, RunError, WriteError, one_line
from reseen.files import make_folder, require_file, write_atomically
from reseen.pictures import Pixels, crop, decode, decode_box, decode_bytes
from reseen.types import Sample

T = TypeVar("T")
MAX_TRIES, PAUSE = 4, 0.5
"""How often something that does not answer is asked, and how many seconds later the second time; then twice that."""
REQUEST_SECONDS, PIECE = 30.0, 2**20
"""How long the web may be silent."""
FETCH_SECONDS, FETCH_BYTES = 300.0, 2**30
"""How long one picture of the web may take, and how large it may be."""


def is_url(location: str | Path) -> bool:
    """Return whether a location names something that is not a path of this machine."""
    return "://" in str(location)


@dataclass(frozen=True)
class StorageFolder:
    """A folder whose files are written whole and never changed.

    Attributes:
        location: A path or a URL.
    """

    location: str

    @property
    def path(self) -> Path | None:
        """The folder on this machine; None in an object store."""
        return None if is_url(self.location) else Path(self.location)

    def __str__(self) -> str:
        return self.location.partition("?")[0]

    def file_info(self, name: str) -> tuple[int, int] | None:
        """Return a file's size and the nanosecond of its last change; None where there is none."""
        filesystem, root = open_location(self.location)
        info = with_retries(lambda: filesystem.get_file_info(f"{root}/{name}"), self.location)
        return (info.size, info.mtime_ns or 0) if info.type == fs.FileType.File else None

    def names(self, below: str) -> set[str]:
        """Return the names of the files in one of its folders that are whole; of one that is not there, none.

        Raises:
            RunError: It is no folder, may not be read, or there is no answer.
        """
        filesystem, root = open_location(self.location)
        selector = fs.FileSelector(f"{root}/{below}", allow_not_found=True)
        try:
            infos = with_retries(lambda: filesystem.get_file_info(selector), self.location)
        except OSError as error:
            raise RunError(f"expected a folder {below or '.'} in {self}, got: {one_line(error)}") from None
        return {info.base_name for info in infos if info.type == fs.FileType.File and info.base_name[0] != "."}

    def open(self, name: str) -> Any:
        """Open a file for reading, as pyarrow's readers take it; OSError where there is none."""
        filesystem, root = open_location(self.location)
        if self.path is not None:
            require_file(self.path / name)
        return filesystem.open_input_file(f"{root}/{name}")

    def read(self, name: str) -> bytes:
        """Return a file's content; FileNotFoundError where there is none."""

        def content() -> bytes:
            with self.open(name) as file:
                return bytes(file.read())

        return with_retries(content, self.location)

    def write(self, name: str, content: bytes | pa.Buffer) -> None:
        """Write a file, all or nothing.

        Raises:
            WriteError: There is no room, no permission, or no answer.
        """
        if self.path is not None:
            make_folder((self.path / name).parent)
            write_atomically(self.path / name, memoryview(content))
            return
        filesystem, root = open_location(self.location)

        def put() -> None:
            # An object is there once it has been sent whole, and not before.
            with filesystem.open_output_stream(f"{root}/{name}") as stream:
                stream.write(content)

        try:
            with_retries(put, self.location)
        except (OSError, RunError) as error:
            raise WriteError(f"expected to write {self}/{name}, got: {one_line(error)}") from error

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        filesystem, root = open_location(self.location)
        if self.file_info(name) is not None:
            with_retries(lambda: filesystem.delete_file(f"{root}/{name}"), self.location)


def open_location(location: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a location, and its place there.

    Raises:
        DataError: There is no such kind of file system.
    """
    if not is_url(location):
        return _local(), str(Path(location))
    scheme, _, rest = location.partition("://")
    place, mark, query = rest.partition("?")
    authority, _, path = place.partition("/")
    filesystem, root = _filesystem(f"{scheme}://{authority}{mark}{query}" if authority else f"{scheme}:///")
    return filesystem, f"{root.rstrip('/')}/{path.strip('/')}".rstrip("/")


@lru_cache(maxsize=1)
def _local() -> fs.FileSystem:
    return fs.LocalFileSystem()


@lru_cache(maxsize=64)
def _filesystem(url: str) -> tuple[fs.FileSystem, str]:
    try:
        filesystem, root = fs.FileSystem.from_uri(url)
    except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"expected a path, or a URL of s3, gs, abfs or hdfs, got {url}: {one_line(error)}") from None
    return filesystem, root


def with_retries(call: Callable[[], T], location: str) -> T:
    """Return what a call gives; where a store does not answer, it is asked again.

    Raises:
        RunError: It does not answer. What a local file system says is raised as it is, and so is that there is no file.
    """
    for attempt in range(MAX_TRIES):
        try:
            return call()
        except (FileNotFoundError, PermissionError):
            raise
        except OSError as error:
            if not is_url(location):
                raise
            if attempt == MAX_TRIES - 1:
                raise unanswered(location, error) from error
            time.sleep(PAUSE * 2**attempt)
    raise AssertionError("the last attempt returns or raises")


def unanswered(location: str, error: BaseException) -> RunError:
    """Return the error of something that does not answer, which is no fault of what was asked for."""
    return RunError(f"expected an answer from {location.partition('?')[0]}, got: {one_line(error)}; start again later")


def read_picture(sample: Sample) -> Pixels:
    """Return a sample's picture, or the part of it in its box, as uint8 RGB (H, W, 3).

    Files are read as `reseen.pictures.decode` reads them. A box may reach over the picture's edge, as detectors' boxes
    do, and is cut there; of a file with several boxes in a row, the pixels are decoded once.

    Raises:
        DataError: The file is missing, empty, no picture or cut short, or the box lies outside; the file is named.
        RunError: An object store does not answer.
    """
    path = Path(sample.path)
    if sample.draw is None and not is_url(sample.path):
        return decode(path) if sample.box is None else decode_box(path, sample.box)
    whole = decode_bytes(fetch_picture(sample.path), sample.path) if sample.draw is None else sample.draw()
    return whole if sample.box is None else crop(whole, sample.box, sample.path)


def fetch_picture(url: str) -> bytes:
    """Return what is at a URL: of http, https, or of an object store.

    Raises:
        DataError: There is nothing, or it may not be read.
        RunError: Nobody answers, also when asked again.
    """
    if url.partition("://")[0].lower() in ("http", "https"):
        return with_retries(lambda: _from_the_web(url), url)
    place, mark, query = url.partition("?")
    folder, _, name = place.rpartition("/")
    try:
        return StorageFolder(folder + mark + query).read(name)
    except (FileNotFoundError, PermissionError) as error:
        raise DataError(f"expected a picture at {url}, got: {one_line(error)}; mend its row") from None


def _from_the_web(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=REQUEST_SECONDS) as answer:
            return _body(answer, url)
    except urllib.error.HTTPError as error:
        with error:
            # Too many requests and request timeout are the server's state, as is 5xx; the others are the picture's.
            if error.code < 500 and error.code not in (408, 429):
                raise DataError(
                    f"expected a picture at {url}, got: {error.code} {error.reason}; mend its row"
                ) from None
            raise OSError(f"{error.code} {error.reason}") from None
    except (http.client.InvalidURL, ValueError) as error:
        raise DataError(f"expected a picture at {url}, got: {one_line(error)}; mend its row") from None
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP: {one_line(error)}") from None


def _body(answer: http.client.HTTPResponse, url: str) -> bytes:
    """Return the body of an answer, which may not come without end."""
    until, pieces, length = time.monotonic() + FETCH_SECONDS, [], 0
    while piece := answer.read1(PIECE):
        pieces.append(piece)
        length += len(piece)
        if length > FETCH_BYTES:
            raise DataError(f"expected a picture of at most {FETCH_BYTES:,} bytes at {url}, got more; mend its row")
        if time.monotonic() > until:
            raise OSError(f"{length:,} bytes in {FETCH_SECONDS:g} seconds, and more to come")
    if answer.length:
        raise OSError(f"{answer.length:,} bytes less than announced")
    return b"".join(pieces)
