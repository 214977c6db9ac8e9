"""A study that is killed again and again ends as one that was left alone."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = """{"model": {"backbone": "tests.training.tiny.Tiny", "height": 16, "width": 8},
  "batches": {"identities": 4, "images": 2}, "schedule": {"epochs": 40, "warmup": 1}, "evaluate_every": 10,
  "save_every": 1}"""
KILLS = 10


def command(out: Path) -> list[str]:
    words = "--data Synthetic --data.num_train_identities 6 --data.num_test_identities 4 --data.num_cameras 2"
    words += " --data.images_per_camera 2 --data.height 16 --data.width 8 --names [HardTripletLoss,AdaSPLoss] --seeds 2"
    return [sys.executable, "-m", "reseen", "study", "losses", "--out", str(out), "--jobs", "2", *words.split()]


def start(out: Path) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    quiet = subprocess.DEVNULL
    return subprocess.Popen([*command(out), "--settings", SETTINGS], env=environment, stdout=quiet, stderr=quiet)


def finished(out: Path) -> dict[str, int]:
    """Return when each finished run was finished."""
    return {path.parent.name: path.stat().st_mtime_ns for path in (out / "runs").glob("*/report.json")}


@pytest.mark.slow
def test_killed_ten_times_it_gives_the_same_csv_and_repeats_no_finished_run(tmp_path):
    alone = tmp_path / "alone"
    began = time.monotonic()
    assert start(alone).wait() == 0
    whole = time.monotonic() - began
    chance, kills, number = random.Random(0), 0, 0
    while kills < KILLS:  # A study that came to its end between two kills is followed by another.
        killed, done = tmp_path / f"killed-{number}", {}
        while True:
            process = start(killed)
            time.sleep(chance.uniform(0, whole) if kills < KILLS else 0)
            alive = process.poll() is None and kills < KILLS
            if alive:
                process.send_signal(signal.SIGKILL)
                kills += 1
            ended = process.wait()
            now = finished(killed)
            assert done.items() <= now.items(), "a finished run was done again"
            done = now
            if not alive:
                break
        assert ended == 0
        for name in ("results.csv", "differences.csv"):
            assert (killed / name).read_bytes() == (alone / name).read_bytes(), name
        number += 1
