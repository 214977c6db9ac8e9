"""Killing the writer at any moment loses nothing that was acknowledged, and leaves a gallery that opens."""

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from reseen.gallery import Gallery

SCRIPT = Path(__file__).with_name("killed.py")


def run_and_kill(folder: Path, seed: int, seconds: float) -> list[list[str]]:
    """Let the writer write for a while, kill it, and return the lines it had written."""
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), str(seed)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(seconds)
        process.kill()
        text = process.stdout.read()
    return [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]


@pytest.mark.parametrize("kills", [2, pytest.param(50, marks=pytest.mark.slow)])
def test_a_killed_writer_loses_nothing_acknowledged(tmp_path: Path, kills: int) -> None:
    moments = random.Random(0)
    folder = tmp_path / "gallery"
    held: set[str] = set()
    for kill in range(kills):
        lines = run_and_kill(folder, kill, moments.uniform(0, 0.6))
        acknowledged = {"added": set[str](), "deleted": set[str]()}
        unsure: set[str] = set()  # deletions under way: done or not
        adding: list[str] = []  # additions under way: all or none
        for verb, *names in lines:
            if verb in acknowledged:
                acknowledged[verb] |= set(names)
            adding = names if verb == "adding" else [] if verb == "added" else adding
            unsure = set(names) if verb == "deleting" else set() if verb == "deleted" else unsure
        held = (held | acknowledged["added"]) - acknowledged["deleted"]

        with Gallery(folder, "model", create=False) as gallery:
            found = gallery.select()
            assert held - unsure <= set(found), f"kill {kill}: an acknowledged write is lost"
            assert (held & unsure <= set(found)) or not (held & unsure & set(found)), f"kill {kill}: half a deletion"
            known = {item.id: item.source for item in gallery.items(found) if item is not None}
            strays = set(found) - held
            assert {known[name] for name in strays} in (set(), set(adding)), f"kill {kill}: half an addition"
            if found:
                vectors = gallery.vectors(found)
                query = np.random.default_rng(kill).normal(size=(1, 8)).astype(np.float32)
                directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
                best = np.argsort(-(directions @ query[0]))[:5]
                assert [match.item.id for match in gallery.search(query, 5)[0]] == [found[n] for n in best]
            held = set(found)
        with sqlite3.connect(folder / "truth.sqlite") as truth:
            assert truth.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        truth.close()
    assert held
