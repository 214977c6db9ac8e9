"""Folder of a run: its files, and the lock on it."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from reseen.distributed import on_first_rank
from reseen.errors import RunError
from reseen.files import require_file, write_atomically

logger = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0  # A run that was stopped a moment ago may still be ending.


class RunFolder:
    """The files of one run.

    ::

        config.yaml        what ran; `reseen train --config` repeats it
        metrics.jsonl      one line every few steps and one for each evaluation
        best.safetensors   the checkpoint with the highest mAP
        last.safetensors   the latest
        state/             what resuming needs

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.metrics = root / "metrics.jsonl"
        self.best = root / "best.safetensors"
        self.last = root / "last.safetensors"
        self.state = root / "state" / "last.pt"
        self.threads = root / "state" / "threads"
        self.lock = root / "state" / "lock"

    @contextmanager
    def open(self, *, resume: bool, config: str | None) -> Iterator[None]:
        """Make the folder, or find the run in it that is to go on, and hold it; all ranks call this, the first acts.

        Raises:
            RunError: There is a run already, or none to resume, or another process trains in the folder.
        """
        with ExitStack() as stack:
            on_first_rank(lambda: self._open(stack, resume=resume, config=config))
            yield

    def _open(self, stack: ExitStack, *, resume: bool, config: str | None) -> None:
        if resume:
            if not self.root.is_dir():
                raise RunError(f"expected a run to resume in {self.root}, found none; check the path")
            with self._writable():
                self.state.parent.mkdir(exist_ok=True)
            stack.enter_context(self._locked())
            return
        if self.taken():
            raise RunError(f"expected a new folder for the run, found {self.root} in use; choose another, or resume it")
        with self._writable():
            self.state.parent.mkdir(parents=True, exist_ok=True)
            self.metrics.unlink(missing_ok=True)
        stack.enter_context(self._locked())
        if config is not None:
            write_atomically(self.config, config.encode())

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"expected to write into {self.root}, got: {error.strerror}; choose another folder, or see who may"
            ) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock, which ends with the process; worker processes do not inherit it.

        Raises:
            RunError: Another process has it, and keeps it.
        """
        with self._writable():
            self.lock.touch()
            require_file(self.lock)
            file = self.lock.open("a")
        with file:
            until = time.monotonic() + PATIENCE_SECONDS
            while True:
                try:
                    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except (BlockingIOError, PermissionError) as error:
                    if time.monotonic() > until:
                        raise RunError(
                            f"expected {self.root} for this run alone, found another process training in it; "
                            "wait for it, stop it, or choose another folder"
                        ) from error
                    time.sleep(0.1)
                except OSError as error:
                    logger.warning("no lock for %s (%s): see that one process alone trains there", self.root, error)
                    break
            yield

    def taken(self) -> bool:
        """Return whether something there must not be lost; what a run left that failed before its first step may."""
        if not self.root.exists():
            return False
        if not self.root.is_dir():
            return True
        names = {path.name for path in self.root.iterdir() if path != self.state.parent}
        names |= {path.name for path in self.state.parent.glob("*") if path not in (self.lock, self.threads)}
        failed_at_once = self.metrics.name in names and self.metrics.stat().st_size == 0
        return bool(names - {self.config.name, self.metrics.name} if failed_at_once else names)
