"""Structure of the code: a query's way through the modules, and how many files know one thing, revision by revision.

``python -m benchmarks.structure [REVISION ...]`` prints both for revisions of this repository; the working tree if none
is named. The way is traced: who calls whom while ``evaluate`` scores two small sets of embeddings.
"""

from __future__ import annotations

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


def show() -> None:
    """Print both for each revision that the command line names."""
    for revision in sys.argv[1:] or [None]:
        print(f"== {revision or 'the working tree'}")
        if revision is None:
            print_way(ROOT / "src")
            print_files(ROOT)
            continue
        archive = subprocess.check_output(["git", "archive", revision], cwd=ROOT)
        with tempfile.TemporaryDirectory() as folder, tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(folder, filter="data")
            print_way(Path(folder) / "src")
            print_files(Path(folder))


if __name__ == "__main__":
    if sys.argv[1:] == ["--trace"]:
        print(json.dumps(traced()))
    else:
        show()
