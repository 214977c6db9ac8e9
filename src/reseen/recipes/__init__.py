"""Recipes: YAML files, one per run of a paper's table, and the published figures they aim at.

``reseen train --config market1501/adasp_mgn --data.root X`` needs nothing else on a machine with the data.
"""

from difflib import get_close_matches
from importlib import resources
from pathlib import Path

from reseen.errors import RunError

__all__ = ["names", "path_of"]

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
