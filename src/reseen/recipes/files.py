"""Recipe files: their folder, names and settings."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from reseen.errors import RunError

FOLDER = Path(str(resources.files("reseen.recipes")))


def names() -> list[str]:
    """Return the names of all recipes, as ``--config`` takes them."""
    return sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.yaml"))


def path_of(name: str) -> Path:
    """Return the file of a recipe.

    Raises:
        RunError: There is neither such a recipe nor such a file.
    """
    path = FOLDER / f"{name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        near = get_close_matches(name, names(), n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "see `reseen recipes`"
        raise RunError(f"expected a file or a recipe, got {name!r}; {hint}")
    return path


def settings_of(name: str) -> dict[str, Any]:
    """Return what a recipe sets, as plain values.

    Raises:
        RunError: There is no such recipe.
    """
    settings: dict[str, Any] = yaml.safe_load(path_of(name).read_text(encoding="utf-8"))
    return settings


def about(name: str) -> str:
    """Return what a recipe says of itself: the comment at its top, one paragraph a line.

    Raises:
        RunError: There is no such recipe.
    """
    comment = path_of(name).read_text(encoding="utf-8").partition("\ndata:")[0]
    lines = [line.removeprefix("#").strip() for line in comment.splitlines()]
    starts = ("Settings:", "Assumed:", "Otherwise", "Assumed, ")
    return " ".join(f"\n{line}" if line.startswith(starts) else line for line in lines).replace(" \n", "\n")
