"""Structure of the code: a query's way through the modules, files that know one thing, and lines of each capability.

``python -m benchmarks.structure [REVISION ...]`` prints them for revisions of this repository; the working tree if none
is named. The way is traced: who calls whom while ``evaluate`` scores two small sets of embeddings.
"""

from __future__ import annotations

import ast
import collections
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
from fnmatch import fnmatch
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
# For each kind of thing that can be added, a pattern that stands wherever an example of it is known.
EXAMPLES = {
    "a loss (SupConLoss)": r"\bSupConLoss\b",
    "a data set (VERIWild)": r"\bVERIWild\b",
    "a network with branches (PCB)": r"\bPCB\b",
    "a study (rankings)": r"\brankings\b",
    "a gallery backend (Milvus)": r"\bMilvus\w*\b",
}
# Capabilities that revision 0df7cf8 had not, by the modules that are theirs alone; what they added to others is in the
# rest.
CAPABILITIES = {
    "trust in files, environment": ["trust", "sealed", "cli/environment", "cli/yaml_files"],
    "slow and costly clients": ["serving/connections", "serving/middleware/hosts", "serving/middleware/limits"],
    "recipes checked": ["recipes/check", "recipes/published_rows", "training/key_diagnosis"],
    "help of the command line": ["cli/help", "cli/mistakes", "cli/models", "cli/foreign_losses", "description"],
    "published models, trackers": [
        *("zoo/*", "adapters", "commands/models", "models/backbones/published"),
        *("embedding/openvino", "embedding/picture_input", "upstream"),
    ],
    "embedding on many machines": ["storage", "embedding/making", "embedding/manifest", "embedding/on_ray"],
    "upkeep of a gallery": [
        *("commands/copy", "commands/forget", "commands/delete", "commands/compact"),
        "gallery/backends/sqlite_faiss/index_files",
    ],
    "pictures without labels": [
        *("discovery/*", "adaptation/*", "commands/discover", "commands/adapt", "commands/label"),
        *("training/cluster_contrast", "reporting/individuals_page", "gallery/verdicts"),
        "datasets/transfer",
    ],
}


def traced() -> list[tuple[str, str]]:
    """Return each call between functions of different modules during one evaluation, once, as (from, to)."""
    import numpy as np
    import torch

    import reseen
    from reseen.evaluation import evaluate
    from reseen.protocols import cross_camera

    try:
        from reseen.types import Embeddings, Sample
    except ImportError:  # Before the module had this name.
        from reseen.samples import Embeddings, Sample  # type: ignore[import-not-found, no-redef]

    generator = np.random.default_rng(0)
    parts = [[Sample(f"{side}{i}.jpg", i % 4, camera) for i in range(8)] for camera, side in enumerate("qg")]
    query, gallery = (Embeddings.of(torch.tensor(generator.normal(size=(8, 4))).float(), part) for part in parts)
    evaluate(query, gallery, cross_camera)  # The first call imports.
    package = str(Path(str(reseen.__file__)).parent)
    calls: dict[tuple[str, str, str], tuple[str, str]] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        caller = frame.f_back
        if event != "call" or caller is None or frame.f_code.co_name == "<genexpr>":
            return
        files = [Path(each.f_code.co_filename) for each in (caller, frame)]
        if all(file.is_relative_to(package) for file in files) and files[0] != files[1]:
            start, end = (str(file.relative_to(package).with_suffix("")) for file in files)
            calls[start, end, frame.f_code.co_qualname] = (start, end)

    for trace in (note, None):
        threading.setprofile(trace)
        sys.setprofile(trace)
        if trace:
            str(evaluate(query, gallery, cross_camera))
    return list(calls.values())


def print_way(source: Path) -> None:
    """Print how often the way enters and leaves each module of a source tree."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    command = [sys.executable, __file__, "--trace"]
    calls = [tuple(c) for c in json.loads(subprocess.check_output(command, env=environment, text=True))]
    entered, left = collections.Counter(end for _, end in calls), collections.Counter(start for start, _ in calls)
    edges = set(calls)
    both = sorted({tuple(sorted(edge)) for edge in edges if edge[::-1] in edges})
    print(f"{'module':28}{'entered':>8}{'left':>6}")
    for module in dict.fromkeys(module for call in calls for module in call):
        print(f"{module:28}{entered[module]:8}{left[module]:6}")
    packages = [(start.partition("/")[0], end.partition("/")[0]) for start, end in calls]
    print(f"{len(calls)} functions called from another module, {sum(a != b for a, b in packages)} of them from another")
    print(f"package; modules that call each other: {', '.join(' and '.join(pair) for pair in both) or 'none'}")


def print_files(tree: Path) -> None:
    """Print how many files of code, tests and documents know an example of each thing."""
    files = [path for folder in ("src", "tests", "docs") for path in (tree / folder).rglob("*.*")]
    files = [path for path in files if path.suffix in (".py", ".md")]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    print(f"{'files that know':34}{'code':>5}{'tests':>6}{'docs':>5}")
    for thing, pattern in EXAMPLES.items():
        known = [path.relative_to(tree).parts[0] for path, text in texts.items() if re.search(pattern, text)]
        print(f"{thing:34}{known.count('src'):5}{known.count('tests'):6}{known.count('docs'):5}")


def count_lines(text: str) -> tuple[int, int, int]:
    """Return the lines of a module, those of them in docstrings, and those neither there, nor blank, nor a comment."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, documented) and ast.get_docstring(node) is not None:
            docstrings.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = dict(enumerate(text.splitlines(), start=1))
    code = [n for n, line in lines.items() if n not in docstrings and line.strip() and line.strip()[0] != "#"]
    return len(lines), len(docstrings), len(code)


def print_lines(package: Path) -> None:
    """Print the lines of each capability that came later, of each package without them, and of all."""
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).with_suffix("")
        names = [
            name for name, own in CAPABILITIES.items() if any(fnmatch(module.as_posix(), pattern) for pattern in own)
        ]
        group = names[0] if names else module.parts[0] if len(module.parts) > 1 else "modules beside the packages"
        lines, docstrings, code = count_lines(path.read_text("utf-8"))
        for name in (group, "all of that" if names else "the rest", "all"):
            counts[name].update(lines=lines, docstrings=docstrings, code=code)
    print(f"{'lines of':34}{'all':>7}{'docstrings':>11}{'code':>7}")
    later = [*CAPABILITIES, "all of that"]
    for name in [*later, *sorted(set(counts) - {*later, "the rest", "all"}), "the rest", "all"]:
        if name in counts:
            print(f"{name:34}{counts[name]['lines']:7}{counts[name]['docstrings']:11}{counts[name]['code']:7}")


def show() -> None:
    """Print all three for each revision that the command line names."""
    for revision in sys.argv[1:] or [None]:
        print(f"== {revision or 'the working tree'}")
        if revision is None:
            print_tree(ROOT)
            continue
        archive = subprocess.check_output(["git", "archive", revision], cwd=ROOT)
        with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(folder, filter="data")
            print_tree(Path(folder))


def print_tree(tree: Path) -> None:
    """Print the way, the files and the lines of one tree."""
    print_way(tree / "src")
    print_files(tree)
    print_lines(tree / "src/reseen")


if __name__ == "__main__":
    if sys.argv[1:] == ["--trace"]:
        print(json.dumps(traced()))
    else:
        show()
