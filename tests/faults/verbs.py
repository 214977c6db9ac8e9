"""A verb in a process of its own, forked from this one, and what became of it."""

import contextlib
import io
import os
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torchvision.ops  # noqa: F401  (so that no child has to import it, nor the verbs)

from reseen.cli import COMMANDS, loss_flags, main, runs  # noqa: F401
from reseen.cli.parser import verb

for name in COMMANDS:
    with contextlib.suppress(ImportError):  # a study, or what needs a library that is not installed
        verb(name)

LIMIT_SECONDS = 20.0
"""What a verb may take of the processor."""
PATIENCE = 6.0
"""So many times as long it may take, on a machine that has others to serve as well."""
EXECUTING = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "webbrowser.open",
)
"""What Python reports before a program is run or the network is used."""
CRASH = 70
LIBRARIES = re.compile(r"tempfile\.tif: |TIFF[A-Z]|\[\w+ @ 0x|\s*\d+ % |\d+ of \d+ runs ")
"""Lines that libtiff and FFmpeg print by themselves, and the progress of a study."""
HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves the cursor, breaks lines or turns text."""


@dataclass(frozen=True)
class Outcome:
    """How a verb ended.

    Attributes:
        status: What the process returned; negative for a signal.
        out: What it printed.
        errors: What it printed on standard error.
        seconds: Of the processor, with the processes that it started; infinite where it had to be stopped.
        executed: Programs it ran, and places it connected to.
    """

    status: int
    out: str
    errors: str
    seconds: float
    executed: str

    def fault(self, *, refused: bool = False, limit: float = LIMIT_SECONDS) -> str | None:
        """Return what is wrong with an ending, which must be well or one line; None if nothing is.

        Args:
            refused: It has to be one line.
            limit: Seconds that it may take.
        """
        lines = [line for line in self.errors.strip().splitlines() if not LIBRARIES.match(line)]
        if self.executed:
            return f"executed: {self.executed}"
        if self.seconds >= limit:
            return f"did not end within {limit:.0f} s: {' / '.join(lines[-2:])}"
        if "Traceback" in self.errors + self.out:
            return "a traceback: " + " / ".join(lines[-3:])
        if self.status == 0:
            return "taken, which had to be refused" if refused else None
        if self.status not in (1, 2):
            return f"ended with {self.status}: {' / '.join(lines[-3:])}"
        if len(lines) != 1 or not lines[0].startswith("reseen: "):
            return f"{len(lines)} lines: {' / '.join(lines[:4])}"
        if len(lines[0]) > 1500 or HIDDEN.search(lines[0]):
            return f"a line of {len(lines[0])} letters: {lines[0][:300]!r}"
        return None


def forked(work: Callable[[], Any], said: Path) -> int:
    """Do something in a forked process whose output goes to ``said/out`` and ``said/errors``; return its id."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads; the child uses none of them
        child = os.fork()
    if child:
        return child
    status = CRASH
    try:
        for number, name in ((1, "out"), (2, "errors")):
            file = os.open(said / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, number)
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "utf-8", write_through=True)
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", write_through=True)
        warnings.resetwarnings()
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", kind)
        work()
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        os._exit(status)


def ended(child: int, seconds: float) -> tuple[int, float]:
    """Wait for a process, and kill it when it has been too long; return what it returned, and the seconds it used."""
    took, before = 0.0, time.monotonic()
    while True:
        found, status, used = os.wait4(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
        if took > PATIENCE * seconds:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -signal.SIGKILL, float("inf")
        time.sleep(0.002)
        now = time.monotonic()
        took, before = took + min(now - before, 0.1), now  # more, and this process was stopped itself


def do(
    words: Sequence[object],
    *,
    folder: Path | None = None,
    before: Callable[[], Any] = lambda: None,
    seconds: float = LIMIT_SECONDS,
) -> Outcome:
    """Run ``reseen WORDS`` in a folder, after ``before``, and return how it ended."""
    with tempfile.TemporaryDirectory() as said, watched(Path(said)) as report:

        def work() -> None:
            if folder is not None:
                os.chdir(folder)
            before()
            report()
            main([str(word) for word in words])

        status, took = ended(forked(work, Path(said)), seconds)
        out, errors, executed = (
            path.read_text("utf-8", "replace") if (path := Path(said) / name).exists() else ""
            for name in ("out", "errors", "executed")
        )
    return Outcome(status, out, errors, took, " ".join(executed.split("\n")))


@contextlib.contextmanager
def watched(said: Path) -> Iterator[Callable[[], None]]:
    """Give what lets a process note down the programs that it runs."""

    def report() -> None:
        file = os.open(said / "executed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        def note(event: str, arguments: tuple[Any, ...]) -> None:
            own = [sys.executable, "-m", "reseen"]  # A study's trainings.
            if event in EXECUTING and not (event == "subprocess.Popen" and list(arguments[1])[:3] == own):
                os.write(file, f"{event} {arguments!r}"[:300].encode() + b"\n")

        sys.addaudithook(note)

    yield report


def done(words: Sequence[object], **options: Any) -> Outcome:
    """Run a verb that has to end well."""
    outcome = do(words, seconds=600, **options)
    assert outcome.status == 0, (words, outcome)
    return outcome
