"""Processes killed at any moment: their parts are those of one that was left alone, and no part is made twice."""

import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.embedding.drawn import Mean, draw, parts

from reseen.embedding.making import PartOptions, make_parts
from reseen.embedding.manifest import ParquetManifest
from reseen.storage import StorageFolder


@pytest.mark.faults
@pytest.mark.parametrize("kills", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_shares_that_are_killed(tmp_path: Path, kills: int) -> None:
    moments = random.Random(0)
    count = 200 * max(2, kills // 2)
    manifest = draw(tmp_path / "pictures", count, rows_of_group=70)
    (tmp_path / "pictures" / "17.png").write_bytes(b"no picture")
    options = PartOptions(part_rows=20, batch_size=5)
    make_parts(StorageFolder(str(tmp_path / "one")), ParquetManifest(str(manifest)), Mean(), options)

    out, killed = tmp_path / "out", 0
    embedded: Counter[str] = Counter()
    unfinished = {1, 2}
    while unfinished:
        number = moments.choice(sorted(unfinished))
        before = set(parts(out)) if out.exists() else set()
        words = [sys.executable, "-m", "tests.embedding.killed", str(manifest), str(out), str(number), "2"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"
            if killed < kills:
                time.sleep(moments.uniform(0, 0.25))
                process.kill()
                killed += 1
            told = process.stdout.read().split()
        if "done" in told:
            unfinished -= {number}
        names = [name for name in told if name.endswith(".png")]
        whole = {int(Path(name).stem) for name in before if name.startswith("parts/")}
        assert not whole & {int(name.removesuffix(".png")) // 20 for name in names}, "a part was made twice"
        embedded.update(names)
    assert parts(out) == parts(tmp_path / "one")
    assert set(embedded) == {f"{n}.png" for n in range(count) if n != 17}
    assert not list(out.rglob("*.partial"))
