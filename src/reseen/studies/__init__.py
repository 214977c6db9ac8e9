"""What the papers measure to argue for a loss, on one's own data: ``reseen study NAME``.

A study is a function of data and options, in a file (or a folder) of its own name; its signature is its flags::

    from reseen.datasets import Synthetic
    from reseen.studies.losses import losses
    from reseen.studies.runner import StudyOptions

    losses(Synthetic(), StudyOptions(out=Path("runs/losses")), names=["AdaSPLoss", "FIDILoss"])

It makes a `runner.Study`, which trains what is missing and writes what was found.
"""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

SHARED = ("results", "runner", "settings")


def summaries() -> dict[str, str]:
    """Return the studies by name, each with the first line of its file's docstring; none of them is imported."""
    lines = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name not in SHARED:
            path = Path(__path__[0]) / (f"{module.name}/__init__.py" if module.ispkg else f"{module.name}.py")
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            lines[module.name.replace("_", "-")] = docstring.partition("\n")[0].rstrip(".")
    return lines
