"""Examples in docstrings run, and the names that most users start from have one."""

import doctest
import importlib
from pathlib import Path

import pytest
import torch

import reseen
from reseen import losses

ROOT = Path(str(reseen.__file__)).parent
NAMES = {
    ".".join(("reseen", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
    for path in ROOT.rglob("*.py")
    if "    >>> " in path.read_text()
}
HAVE_ONE = {
    "losses": {"AdaSPLoss", "CrossBatchMemory", "CrossModal", "HardTripletLoss", "IdentityLoss", "MemoryBank"},
    "evaluation": {"average_precision", "evaluate", "fidelity", "ranked_list", "roc"},
    "datasets": {"Joined", "Subset"},
    "gallery": {"Gallery"},
    "models": {"Embedder", "ModelSpec", "eval_mode"},
    "geometry": {"masked_mean"},
    "types": {"Protocol", "Sample"},
}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_examples_in_docstrings_run(name: str) -> None:
    torch.manual_seed(0)
    module = importlib.import_module(name)
    known = {"torch": torch, "HardTripletLoss": losses.HardTripletLoss}
    result = doctest.testmod(module, extraglobs=known, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize("package", HAVE_ONE)
def test_the_first_names_have_an_example(package: str) -> None:
    module = importlib.import_module(f"reseen.{package}")
    assert {name for name in HAVE_ONE[package] if ">>> " not in (getattr(module, name).__doc__ or "")} == set()
