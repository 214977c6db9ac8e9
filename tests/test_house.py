"""The house holds: imports only go down, packages of one floor leave one another alone, and every file is exported."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import reseen

ROOT = Path(reseen.__file__).parent

# From the ground up. What stands in one set does not import its neighbours.
FLOORS: list[set[str]] = [
    {"errors"},
    {"extras", "geometry", "pictures", "samples"},
    {"distributed", "scores"},
    {"protocols"},
    {"losses", "metrics", "reranking", "datasets", "images", "models"},
    {"checkpoint", "embedding", "evaluation"},
    {"encoding"},
    {"training", "reporting", "gallery", "export", "video"},
    {"serving", "recipes"},
    {"commands"},
    {"cli"},
]
LEVEL = {name: level for level, floor in enumerate(FLOORS) for name in floor}
ONE_FILE_EACH = ["losses", "datasets"]


def modules() -> Iterator[Path]:
    return (path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py")


def room(path: Path) -> str:
    """Return the part of the house a file belongs to: its package below ``reseen``, or its own name."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: a relative import; write the whole name"
            names += [f"reseen.{a.name}" for a in node.names] if node.module == "reseen" else [node.module]
    return {name.split(".")[1] for name in names if name.startswith("reseen.")}


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    here = room(path)
    assert here in LEVEL, f"{here} has no floor: put it in FLOORS and in docs/architecture.md"
    for other in imported_rooms(path) - {here}:
        assert LEVEL[other] < LEVEL[here], f"{path.relative_to(ROOT)} imports reseen.{other}, which is not below it"


@pytest.mark.parametrize("package", ONE_FILE_EACH)
def test_every_file_is_exported(package: str) -> None:
    exported = importlib.import_module(f"reseen.{package}")
    homes = {getattr(exported, name).__module__ for name in exported.__all__}
    for module in pkgutil.iter_modules(exported.__path__, prefix=f"reseen.{package}."):
        if module.ispkg:
            continue
        defines_public_class = any(
            isinstance(node, ast.ClassDef) and not node.name.startswith("_")
            for node in ast.parse(Path(module.module_finder.path, module.name.split(".")[-1] + ".py").read_text()).body  # type: ignore[union-attr]
        )
        assert module.name in homes or not defines_public_class, f"{module.name} is not exported by reseen.{package}"


@pytest.mark.parametrize("package", sorted({p.parent.name for p in ROOT.glob("*/__init__.py")}))
def test_what_a_package_promises_is_there(package: str) -> None:
    module = importlib.import_module(f"reseen.{package}")
    for name in getattr(module, "__all__", []):
        assert hasattr(module, name), f"reseen.{package}.__all__ names {name}, which is not there"
