"""Atomic writing of files: at any moment there is the whole old file or the whole new one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from reseen.errors import WriteError


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file, all or nothing; it is on the disk when this returns.

    Raises:
        WriteError: The disk is full, or the place cannot be written; a file that was there is intact.
    """
    with replacing(path) as partial, partial.open("wb") as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write a file to, which takes the place of ``path`` once the block has ended well.

    Processes that write one file at once take turns, and what a killed one has left is written over.

    Raises:
        WriteError: The disk is full, or the place cannot be written; a file that was there is intact.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with contextlib.suppress(FileNotFoundError):
            require_file(path)  # Renaming over a device, as /dev/stdout, would take it away from everybody.
        with _locked(partial):
            try:
                yield partial
                force(partial)
                partial.replace(path)
            except BaseException:
                with contextlib.suppress(OSError):
                    partial.unlink()
                raise
        force(path.parent)
    except OSError as error:
        raise write_error(path, error, "; what was there before is intact") from error


def require_new(path: Path | None, *, force: bool) -> None:
    """Make sure that writing a file takes nobody's work away; None is no file.

    Raises:
        WriteError: It is there, and is not to be replaced.
    """
    if path is not None and path.exists() and not force:
        raise WriteError(f"expected a new file at {path}, found one there; name another, or say --force true")


def require_file(path: str | Path) -> None:
    """Make sure that what is at a path is no pipe and no device, where reading need not come to an end.

    Raises:
        OSError: It is one, or there is nothing. A folder is left to whoever reads it.
    """
    mode = os.stat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "a pipe or device", str(path))


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there yet.

    Raises:
        WriteError: It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error


def write_error(path: Path, error: OSError, more: str = "") -> WriteError:
    """Return what to raise where the system refuses to write something."""
    return WriteError(f"expected room and permission to write {path}, got: {error.strerror or error}{more}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Open a file, empty, that no other process has open in this way."""
    while True:
        with os.fdopen(_opened(path), "ab") as file:
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still_at(file, path):
                file.truncate(0)
                yield
                return


def _opened(path: Path) -> int:
    """Return a file opened for appending; a link or pipe that somebody has laid in its place is removed."""
    while True:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
        else:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return handle
            os.close(handle)
        path.unlink(missing_ok=True)


def _is_still_at(file: BinaryIO, path: Path) -> bool:
    """Return whether nobody has renamed or removed an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def force(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
