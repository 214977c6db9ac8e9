"""Training state for exact resume, in one file."""

from __future__ import annotations

import io
import logging
import random
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from reseen.distributed import on_all_ranks
from reseen.errors import CheckpointError, RunError
from reseen.files import write_atomically
from reseen.models.weights import read_pickled

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """Protocol of objects with ``state_dict`` and ``load_state_dict``."""

    def state_dict(self) -> Any:
        """Return all that a resumed run needs: tensors and plain values."""

    def load_state_dict(self, state: Any) -> Any:
        """Take back what ``state_dict`` gave."""


def save_state(path: Path, parts: Mapping[str, Stateful], accelerator: Accelerator) -> None:
    """Write the state of every part and of every rank's random generators, all or nothing.

    All ranks call it; the first writes.
    """
    random_states = on_all_ranks(random_state)
    if accelerator.is_main_process:
        state = {name: part.state_dict() for name, part in parts.items()}
        buffer = io.BytesIO()
        torch.save({"parts": state, "random": random_states}, buffer)
        write_atomically(path, buffer.getvalue())
    accelerator.wait_for_everyone()


def load_state(path: Path, parts: Mapping[str, Stateful], accelerator: Accelerator) -> None:
    """Bring every part and the random generators to where the state was saved.

    Raises:
        CheckpointError: The file is damaged.
        RunError: The state is another run's: other parts, another network, or other batches.

    Note:
        On more or fewer ranks than before, batches and what the optimiser knows stay what they were, and each rank that
        there was has its own random numbers back. A new rank's are those of the seed; what each rank computes for
        itself (batch norm, dropout, candidates not gathered) is of larger or smaller parts of a batch than before.
    """
    try:
        state = read_pickled(path)
    except CheckpointError as error:
        raise CheckpointError(f"expected a whole state at {path}, got a damaged file; start the run anew") from error
    try:
        saved, random_states = state["parts"], list(state["random"])
    except (KeyError, TypeError, IndexError) as error:
        raise CheckpointError(f"expected the state of a run at {path}, got something else; start anew") from error
    ranks = len(random_states), accelerator.num_processes
    if ranks[0] != ranks[1]:
        logger.warning("the run was on %d ranks and goes on on %d: not bit for bit as it would have ended", *ranks)
    try:
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        if accelerator.process_index < len(random_states):
            set_random_state(random_states[accelerator.process_index])
    except (KeyError, RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise RunError(
            f"expected the state of this run in {path}, got another's ({_line(error)}); resume with the configuration "
            "that the run was started with, or start a new run from its weights with --init"
        ) from error


def _line(error: Exception) -> str:
    return f"no {error}" if isinstance(error, KeyError) else str(error).partition("\n")[0]


def random_state() -> dict[str, Any]:
    """Return the state of Python's, NumPy's and torch's generators, this device's included, as plain values."""
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, np.asarray(keys).tolist(), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Bring the generators to a state of ``random_state``."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


class InterruptGuard:
    """Context manager that holds Ctrl-C and SIGTERM back until a step has ended.

    As a context, it makes SIGTERM raise KeyboardInterrupt as Ctrl-C does. Signals reach the main thread only: in
    another one everything is as usual.

    Args:
        enabled: False on several ranks, which would notice at different steps and wait for one another for ever.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.asked = False

    @property
    def _possible(self) -> bool:
        return self.enabled and threading.current_thread() is threading.main_thread()

    def __enter__(self) -> InterruptGuard:
        self._terminate = signal.getsignal(signal.SIGTERM)
        self._changed = self._possible and self._terminate is signal.SIG_DFL  # a handler of the caller's own stays
        if self._changed:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._changed:
            signal.signal(signal.SIGTERM, self._terminate)

    @contextmanager
    def delayed(self) -> Iterator[None]:
        """Only note a first signal; a second one interrupts at once."""
        if not self._possible:
            yield
            return

        def note(number: int, frame: FrameType | None) -> None:
            self.asked = True
            restore()

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        # Known before the first signal can come.
        before = {number: signal.getsignal(number) for number in self.SIGNALS}
        for number in self.SIGNALS:
            signal.signal(number, note)
        try:
            yield
        finally:
            restore()

    def raise_if_asked(self) -> None:
        """Let the signal take effect that was held back."""
        if self.asked:
            raise KeyboardInterrupt
