"""The command line: ``reseen VERB ...``.

Each verb is a typed function under ``reseen.commands``. What it needs is imported when it is called, so that
``reseen --help`` answers at once.
"""

import contextlib
import errno
import logging
import os
import re
import sys
import warnings
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.util import find_spec

from reseen.cli.restart import restart_for_training
from reseen.errors import ReseenError
from reseen.launcher import is_first, join_group, leave_group, num_launched
from reseen.studies import summaries

COMMANDS = {
    "demo": "train, evaluate and report on the built-in synthetic data",
    "check-data": "say what is in a data set and what in it would spoil a result",
    "train": "train a model",
    "adapt": "adapt a model to pictures without labels",
    "discover": "group pictures without labels into individuals",
    "evaluate": "score a trained model on a data set",
    "embed": "write a trained model's vectors of a data set to disk",
    "report": "write one HTML page about a run",
    "recipes": "list the recipes of the papers' tables: published figures, parameters, memory, GPU hours",
    "models": "list published models that load by name: what they were trained on, licences, scores, costs",
    "export": "write a model as ONNX, checked against the original",
    "index": "put pictures into a gallery",
    "label": "name the pictures of a gallery, rename or merge identities, or list them",
    "delete": "delete pictures of a gallery",
    "forget": "delete pictures of a gallery that are older than a time",
    "compact": "remove from a gallery's files what was deleted, and make its search index anew",
    "copy": "copy a gallery, also while it is in use",
    "search": "find who is on a picture in a gallery",
    "compare": "say how alike two pictures are, and with what probability they show the same individual",
    "calibrate": "turn a gallery's scores into probabilities and a threshold",
    "serve": "search a gallery over HTTP",
    "study": "measure on your own data what the papers measure: reseen study --help lists the studies",
}
SHARED = ("train", "evaluate", "embed")  # Several processes divide the work of these.
TRAINING = ("demo", "train", "adapt", "study")

MAX_WORD = 400
"""Letters of a word in a message, such as a path; of a longer one only the ends are said."""
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG)
"""How the system says that it will not write or read a file here."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb; exit 0 when done, 1 on what a user can mend, 2 on wrong arguments, 130 on Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help"):
        show(overview())
        return
    if words[0] == "--version":
        from reseen import __version__

        show(f"reseen {__version__}")
        return
    name, rest = words[0], words[1:]
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"; did you mean {near[0]}? See" if near else "; see"
        fail(2, f"expected one of {', '.join(COMMANDS)}, got '{name}'{hint} reseen --help")
    if arguments is None and name in TRAINING:
        restart_for_training(sys.orig_argv)
    if name == "study":
        studies = summaries()
        if rest and rest[0] in ("-h", "--help"):
            show("usage: reseen study NAME --data ... --out FOLDER\n\n" + name_list(studies))
            return
        if not rest or rest[0] not in studies:
            known = ", ".join(studies)
            fail(2, f"expected a study among {known}, got '{' '.join(rest[:1])}'; as in reseen study losses")
        name, rest = f"study {rest[0]}", rest[1:]
    if num_launched() > 1 and name not in SHARED:
        fail(
            2,
            f"expected one process for reseen {name}, got {num_launched()}; start it without torchrun, accelerate or "
            f"mpirun, which are for {', '.join(SHARED)}",
        )
    # Here, not above: this takes longer than `reseen --help` may.
    from reseen.cli.parser import WrongArgumentsError, call

    if os.getcwd() not in sys.path:  # A class of one's own beside one's data, as `python -m` finds it.
        sys.path.append(os.getcwd())
    log_to_terminal()
    try:
        join_group()
        call(name, rest)
        leave_group()
    except WrongArgumentsError as error:
        fail(2, str(error))
    except (ReseenError, ValueError) as error:
        if os.environ.get("RESEEN_DEBUG"):
            raise
        fail(1, str(error))
    except ModuleNotFoundError as error:
        if find_spec("torch") or os.environ.get("RESEEN_DEBUG"):
            raise
        fail(
            1,
            f"expected the library {error.name} for this, which is not installed; run: pip install reseen; without it, "
            "exported models are run (.onnx, .xml)",
        )
    except OSError as error:
        if error.errno not in REFUSALS or os.environ.get("RESEEN_DEBUG"):
            raise
        place = f" at {error.filename}" if error.filename is not None else ""
        fail(
            1, f"expected room and permission for files{place}, got: {error.strerror}; free some, or name another place"
        )
    except KeyboardInterrupt as interrupt:
        fail(130, str(interrupt) or "stopped")


def log_to_terminal() -> None:
    """Show what the library logs, one line each, and not what Pillow warns of in damaged pictures."""
    from reseen.terminal import LogHandler

    logger = logging.getLogger("reseen")
    logger.handlers = [LogHandler()]
    logger.setLevel(logging.INFO if is_first() else logging.WARNING)
    warnings.filterwarnings("ignore", module=r"PIL\.")


def overview() -> str:
    """Return the text of ``reseen --help``."""
    return (
        "reseen: find the same individual again\n\n"
        f"usage: reseen VERB ...\n\n{name_list(COMMANDS)}\n\n"
        "`reseen VERB --help` explains a verb; `reseen VERB --data.help NAME` a data set, `--loss.help NAME` a loss."
    )


def name_list(names: Mapping[str, str]) -> str:
    """Return names with a line on each."""
    return "\n".join(f"  {name:<13} {line}" for name, line in names.items())


def show(text: str) -> None:
    """Print a text, to wherever the output goes."""
    try:
        print(text, flush=True)
    except OSError as error:
        with contextlib.suppress(OSError):
            sys.stdout.close()  # Python would try again at the end.
        fail(1, f"expected room and permission for the output, got: {error.strerror}; send it to another place")


def fail(status: int, message: str) -> None:
    """Say in one line what went wrong, and leave; words that would fill the screen are cut."""
    from reseen.labels import visible

    line = re.sub(rf"\S{{{MAX_WORD},}}", lambda word: f"{word[0][: MAX_WORD // 2]}...{word[0][-40:]}", message)
    print(f"reseen: {visible(line)}", file=sys.stderr)
    sys.exit(status)
