"""Studies of networks, killed at random moments and started again: the same tables as undisturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.studies.small import SYNTHETIC

TINY = ["--model.backbone", "tests.training.tiny.Tiny", "--model.height", "16", "--model.width", "8"]
COUNTING = ["--identities", "2", "--num_batches", "200", "--draws", "20000", "--instances", "[2,4]"]
KILLS = 10


def start(name: str, runs: list[Path], out: Path) -> subprocess.Popen[bytes]:
    words = [*TINY, *COUNTING] if name == "harmful-pairs" else ["--runs", f"[{', '.join(map(str, runs))}]"]
    command = [sys.executable, "-m", "reseen.cli", "study", name, "--out", str(out), *SYNTHETIC, *words]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def tables(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.csv")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fidelity", "attention", "rankings", "harmful-pairs"])
def test_the_tables_are_the_same(name: str, runs: list[Path], tmp_path: Path) -> None:
    began = time.monotonic()
    undisturbed = start(name, runs, tmp_path / "undisturbed")
    assert undisturbed.wait() == 0, undisturbed.stderr and undisturbed.stderr.read()
    seconds = time.monotonic() - began
    rng = random.Random(name)
    for _ in range(KILLS):
        process = start(name, runs, tmp_path / "killed")
        time.sleep(seconds * rng.uniform(0.4, 1))  # before that, libraries are read
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = start(name, runs, tmp_path / "killed")
    assert last.wait() == 0, last.stderr and last.stderr.read()
    assert tables(tmp_path / "killed") == tables(tmp_path / "undisturbed")
    assert tables(tmp_path / "killed")
