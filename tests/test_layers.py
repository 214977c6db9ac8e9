"""Layers: imports only go down, modules of one layer leave one another alone, and every file is exported."""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import reseen
from reseen.losses import Loss
from reseen.types import Benchmark

ROOT = Path(reseen.__file__).parent

# From the lowest up, by the names of docs/architecture.md. Modules of one layer do not import one another.
LAYERS: dict[str, set[str]] = {
    "base": {"description", "errors", "exact", "labels", "slicing", "upstream"},
    "values": {
        "extras",
        "files",
        "geometry",
        "launcher",
        "parallel",
        "pictures",
        "sealed",
        "terminal",
        "trust",
        "types",
    },
    "storage": {"distributed", "storage", "tables", "video", "zoo"},
    "protocols": {"protocols"},
    "parts": {"datasets", "evaluation", "loading", "losses", "models"},
    "checkpoints": {"checkpoint"},
    "embedding": {"discovery", "embedding"},
    "model evaluation": {"model_evaluation"},
    "applications": {"adapters", "export", "gallery", "reporting", "training"},
    "recipes and server": {"adaptation", "recipes", "serving"},
    "studies": {"studies"},
    "command line": {"cli"},
    "verbs": {"commands"},
}
LEVEL = {name: level for level, modules_of_it in enumerate(LAYERS.values()) for name in modules_of_it}
# Packages with one public class or more to a file, all of them exported; the kind that counts.
EXPORTS = {"losses": Loss, "datasets": Benchmark}


def modules() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if path not in (ROOT / "__init__.py", ROOT / "__main__.py")]


def module_of(path: Path) -> str:
    """Return the module a file belongs to: its package below ``reseen``, or its own name."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path}: a relative import; write the whole name"
            names += [f"reseen.{a.name}" for a in node.names] if node.module == "reseen" else [node.module]
    return {name.split(".")[1] for name in names if name.startswith("reseen.")} - {"__version__"}


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down(path: Path) -> None:
    here = module_of(path)
    assert here in LEVEL, f"{here} has no layer: put it in LAYERS and in docs/architecture.md"
    for other in imported_modules(path) - {here}:
        assert LEVEL[other] < LEVEL[here], f"{path.relative_to(ROOT)} imports reseen.{other}, which is not below it"


def test_names_reach_the_terminal_through_one_console() -> None:
    """rich's own would take names for markup; the bars of progress have no names, or say that they are none."""
    others = {"terminal.py", "training/progress.py", "studies/runner/progress.py"}
    for path in modules():
        if path.relative_to(ROOT).as_posix() not in others:
            assert "rich.console import Console" not in path.read_text(), f"{path} prints, use reseen.terminal.Terminal"


@pytest.mark.parametrize("package", EXPORTS)
def test_every_file_is_exported(package: str) -> None:
    exported = importlib.import_module(f"reseen.{package}")
    for module in pkgutil.walk_packages(exported.__path__, prefix=f"reseen.{package}."):
        for name, thing in vars(importlib.import_module(module.name)).items():
            is_own = inspect.isclass(thing) and thing.__module__ == module.name and not inspect.isabstract(thing)
            if is_own and issubclass(thing, EXPORTS[package]) and not name.startswith("_"):
                assert name in exported.__all__, f"{name} of {module.name} is not exported by reseen.{package}"


@pytest.mark.parametrize("package", sorted({p.parent.name for p in ROOT.glob("*/__init__.py")}))
def test_what_a_package_promises_is_there(package: str) -> None:
    module = importlib.import_module(f"reseen.{package}")
    for name in getattr(module, "__all__", []):
        assert hasattr(module, name), f"reseen.{package}.__all__ names {name}, which is not there"


def test_the_way_through_evaluation_runs_one_way() -> None:
    """Its files can be put in an order in which each imports earlier ones only."""
    folder = ROOT / "evaluation"
    files = {path.stem: path for path in folder.rglob("*.py") if path.name != "__init__.py"}
    left = {name: set(re.findall(r"^from reseen\.evaluation(?:\.reranking)?\.(\w+) import", path.read_text(), re.M))
            for name, path in files.items()}  # fmt: skip
    while ready := {name for name, needed in left.items() if not needed & set(left)}:
        left = {name: needed for name, needed in left.items() if name not in ready}
    assert not left, f"these files of evaluation import one another in a circle: {sorted(left)}"


def test_the_documented_layers_are_these() -> None:
    page = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\w[\w ]*) \| (`.*) \|$", page, flags=re.MULTILINE)
    documented = {name: set(re.findall(r"(?:^|; )`(\w+)/?`", line)) for name, line in rows}
    assert list(documented) == list(reversed(LAYERS))
    assert documented == LAYERS


PACKAGES = sorted(".".join(p.parent.relative_to(ROOT).parts) for p in ROOT.rglob("__init__.py") if p.parent != ROOT)


@pytest.mark.parametrize("package", PACKAGES)
def test_no_export_has_the_name_of_a_module(package: str) -> None:
    """So that ``import reseen.x.y as y`` gives a module."""
    module = importlib.import_module(f"reseen.{package}")
    modules_of_it = {found.name for found in pkgutil.iter_modules(module.__path__)}
    assert not modules_of_it & set(getattr(module, "__all__", []))
