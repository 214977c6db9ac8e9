"""Every verb imports only what it uses: heavy libraries take seconds."""

import subprocess
import sys

import pytest

from reseen.cli import COMMANDS

HEAVY = {
    *("torch", "torchvision", "timm", "accelerate", "pandas", "scipy", "sklearn", "matplotlib", "pyarrow"),
    *("ray", "pymilvus", "fastapi", "onnxruntime"),
}
SMALL = "--data Synthetic --data.num_train_identities 2 --data.num_test_identities 2 --data.height 32"
USED = {
    "--version": set(),
    "--help": set(),
    "study --help": set(),
    "models": set(),
    "demo --help": set(),
    **{f"{verb} --help": {"pyarrow"} for verb in ("index", "label", "search", "compare", "calibrate", "serve")},
    **{f"{verb} --help": {"pyarrow"} for verb in ("delete", "forget", "compact", "copy", "check-data")},
    f"check-data {SMALL}": {"pyarrow", "pandas"},
    **{f"{verb} --help": {"pyarrow", "torch"} for verb in ("train", "evaluate", "embed", "report", "export")},
    **{f"{verb} --help": {"pyarrow", "torch", "scipy"} for verb in ("adapt", "discover")},
    "recipes": {"pyarrow", "torch"},
    "study losses --help": {"pyarrow", "torch", "scipy", "pandas"},
}
CODE = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from reseen.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("words", USED)
def test_a_verb_imports_no_more_than_it_uses(words):
    run = subprocess.run([sys.executable, "-c", CODE, *words.split()], capture_output=True, text=True, check=True)
    loaded = HEAVY & set(run.stderr.split())
    assert loaded <= USED[words], f"reseen {words} imports {loaded - USED[words]} without use"


def test_every_verb_is_looked_at():
    assert {words.split()[0] for words in USED} >= set(COMMANDS)
