"""A run's folder: what lies in it, and when it may be used."""

from __future__ import annotations

from pathlib import Path

from reseen.errors import RunError
from reseen.files import write_atomically


class RunFolder:
    """The files of one run.

    ::

        config.yaml        what ran; `reseen train --config` repeats it
        metrics.jsonl      one line every few steps and one for each evaluation
        tensorboard/       the same numbers
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

    def open(self, *, resume: bool, config: str | None) -> None:
        """Make the folder, or find the run in it that is to go on; call on one rank.

        Raises:
            RunError: There is a run already, or none to resume.
        """
        if resume:
            if not self.root.is_dir():
                raise RunError(f"expected a run to resume in {self.root}, found none; check the path")
            self.state.parent.mkdir(exist_ok=True)
            return
        if self.taken():
            raise RunError(f"expected a new folder for the run, found {self.root} in use; choose another, or resume it")
        try:
            self.state.parent.mkdir(parents=True, exist_ok=True)
            self.metrics.unlink(missing_ok=True)
        except OSError as error:
            raise RunError(f"expected to make the folder {self.root}, got: {error.strerror}; choose another") from error
        if config is not None:
            write_atomically(self.config, config.encode())

    def taken(self) -> bool:
        """Return whether something there must not be lost; what a run left that failed before its first step may."""
        if not self.root.exists():
            return False
        if not self.root.is_dir():
            return True
        found = {path.name for path in self.root.iterdir() if path != self.state.parent or any(path.iterdir())}
        failed_at_once = self.metrics.name in found and self.metrics.stat().st_size == 0
        return bool(found - {self.config.name, self.metrics.name} if failed_at_once else found)
