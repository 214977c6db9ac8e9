"""The table of renamed things in CHANGELOG.md: the new names are there, and the old ones are not."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "CHANGELOG.md").read_text(encoding="utf-8")
RENAMED = re.findall(r"^\| `(reseen\.[\w.]+)` \| `(reseen\.[\w.]+)` \|$", PAGE, flags=re.MULTILINE)


def named(path: str) -> object:
    found: object = importlib.import_module("reseen")
    module = "reseen"
    for part in path.split(".")[1:]:
        module = f"{module}.{part}"
        if not hasattr(found, part):
            importlib.import_module(module)
        found = getattr(found, part)
    return found


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_the_new_name_is_there_and_the_old_one_is_gone(old: str, new: str) -> None:
    assert named(new) is not None
    with pytest.raises((AttributeError, ImportError)):
        named(old)


def test_the_table_is_read() -> None:
    assert len(RENAMED) > 30
