"""Exceptions for errors that a user can mend.

::

    ReseenError              anything a user can mend; the command line prints it as one line and exits 1
    ├── DataError            a data set, a table or a picture is missing, unreadable or unfit
    ├── CheckpointError      a checkpoint or a file of weights is damaged or does not fit the network
    ├── ExportError          an exported model cannot be made, or departs from the one it was made from
    ├── GalleryError         a gallery is missing, damaged or busy, or holds vectors of another model
    ├── TrustError           a file names a class of a package that the user has not
    ├── WriteError           a file cannot be written: the disk is full, or the place may only be read
    ├── RunError             a run folder exists already, is incomplete, or belongs to another run
    ├── TrainingError        training cannot go on, as with a loss that is not finite
    └── MissingLibraryError  an optional library is not installed

A wrong argument from code is a ``ValueError``. Every message says what was expected, what was found and what to do.
"""

from __future__ import annotations

import os
import re
from pathlib import Path


class ReseenError(Exception):
    """Base class of errors that a user can mend."""


class DataError(ReseenError):
    """A data set, a table or a picture is missing, unreadable or unfit for its use."""


class CheckpointError(ReseenError):
    """A checkpoint or a file of weights is damaged or does not fit the network."""


class ExportError(ReseenError):
    """An exported model cannot be made, or departs from the one it was made from."""


class GalleryError(ReseenError):
    """A gallery is missing, damaged or busy, or holds vectors of another model."""


class TrustError(ReseenError):
    """A file names a class of a package that the user has not."""


class WriteError(ReseenError):
    """A file cannot be written: the disk is full, or the place may only be read."""


class RunError(ReseenError):
    """A run folder exists already, is incomplete, or belongs to another run."""


class TrainingError(ReseenError):
    """Training cannot go on."""


class MissingLibraryError(ReseenError):
    """An optional library is not installed."""


def contents_of(folder: Path, *, most: int = 8) -> str:
    """Return in words what lies in a folder."""
    if not folder.exists():
        return "no such folder"
    if not folder.is_dir():
        return "a file"
    names = sorted(os.listdir(folder))
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "an empty folder"


def one_line(error: BaseException, *, limit: int = 200) -> str:
    """Return what an error of another library says, fit for a message: one printable line, cut between words."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip() or type(error).__name__
    line = "".join(letter if letter.isprintable() else "?" for letter in text.splitlines()[0])
    return line if len(line) <= limit else line[:limit].rpartition(" ")[0] + " ..."
