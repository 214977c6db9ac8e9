"""``import reseen`` offers its public names and subpackages, and imports nothing heavy."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import reseen

NAMES = {
    "Benchmark",
    "Embedder",
    "Embeddings",
    "Gallery",
    "ModelSpec",
    "Protocol",
    "Sample",
    "embed",
    "evaluate",
    "evaluate_model",
    "load",
    "train",
}


def in_new_process(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.strip()


def test_public_names_are_pinned() -> None:
    assert set(reseen.__all__) == NAMES
    assert set(dir(reseen)) >= NAMES | {"losses", "datasets", "protocols", "training", "gallery", "__version__"}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_name_is_the_one_of_its_home(name: str) -> None:
    home = importlib.import_module(f"reseen.{reseen._HOMES[name]}")
    assert getattr(reseen, name) is getattr(home, name)
    assert getattr(reseen, name).__doc__


def test_editors_see_the_same_names() -> None:
    tree = ast.parse(Path(str(reseen.__file__)).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {a.name: n.module for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert seen == {name: f"reseen.{home}" for name, home in reseen._HOMES.items()}
    assert set(seen) == NAMES


def test_nothing_heavy_is_imported() -> None:
    heavy = "{'numpy', 'torch', 'pandas', 'timm', 'rich'}"
    assert in_new_process(f"import sys, reseen; print(sorted({heavy} & set(sys.modules)))") == "[]"


def test_subpackages_are_there_after_a_bare_import() -> None:
    assert in_new_process("import reseen; print(reseen.losses.AdaSPLoss.__name__)") == "AdaSPLoss"


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = reseen.nothing
