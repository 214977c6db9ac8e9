"""Studies of networks, killed at random moments and started again: the same tables as undisturbed."""

import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.studies.small import SYNTHETIC

TINY = ["--model.backbone", "tests.training.tiny.Tiny", "--model.height", "16", "--model.width", "8"]
COUNTING = ["--identities", "2", "--num_batches", "200", "--draws", "20000", "--instances", "[2,4]"]
KILLS = 10


def do(name: str, runs: list[Path], out: Path, *, seconds: float | None = None) -> None:
    """Do a study; after so many seconds it is killed (SIGKILL)."""
    words = [*TINY, *COUNTING] if name == "harmful-pairs" else ["--runs", f"[{', '.join(map(str, runs))}]"]
    command = [sys.executable, "-m", "reseen", "study", name, "--out", str(out), *SYNTHETIC, *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=seconds, text=True)
    assert done.returncode == 0, done.stderr


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.csv")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fidelity", "attention", "rankings", "harmful-pairs"])
def test_the_tables_are_the_same(name: str, runs: list[Path], tmp_path: Path) -> None:
    began = time.monotonic()
    do(name, runs, tmp_path / "undisturbed")
    whole = time.monotonic() - began
    rng = random.Random(name)
    for _ in range(KILLS):
        with suppress(subprocess.TimeoutExpired):
            do(name, runs, tmp_path / "killed", seconds=whole * rng.uniform(0.4, 1))  # before, libraries are read
    do(name, runs, tmp_path / "killed")
    assert tables(tmp_path / "undisturbed")
    assert tables(tmp_path / "killed") == tables(tmp_path / "undisturbed")
