"""The attention study: extents of known maps, the pairs it looks at, and from the command line on."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.studies.small import SYNTHETIC

from reseen.cli import main
from reseen.errors import DataError
from reseen.protocols import cross_camera
from reseen.studies.attention import Extent, comparison_rows, extent, matching
from reseen.types import Benchmark, Sample


def test_extents_of_maps_that_are_known() -> None:
    assert extent(torch.ones(4, 2)) == Extent(1, 1, 1)
    assert extent(torch.zeros(4, 2)) == Extent(0, 0, 0)
    bar = torch.zeros(4, 2)
    bar[1] = 1
    assert extent(bar) == Extent(0.25, 0.25, 0.25)
    column = torch.zeros(4, 2)
    column[:, 0] = 0.6
    column[0, 0] = 1
    assert extent(column) == Extent(0.5, 1, pytest.approx(2.8**2 / (8 * (1 + 3 * 0.36))))


def benchmark() -> Benchmark:
    query = tuple(Sample(f"q{i}{n}", i, camera=1) for i in range(5) for n in range(3))
    gallery = [Sample(f"g{i}{c}", i, camera=c) for i in range(4) for c in (1, 2)]  # nothing of identity 4 ...
    gallery += [Sample("own", 3, camera=1), *query[-3:-2]]  # ... but the query itself
    return Benchmark("b", (), query, tuple(gallery), cross_camera)


def test_queries_meet_their_own_identity_by_another_camera() -> None:
    pairs = matching(benchmark(), 99)
    assert len(pairs) == 12 + 2  # two other queries of identity 4 meet the third
    assert all(query.identity == other.identity and query.path != other.path for query, other in pairs)
    assert all(other.camera == 2 for query, other in pairs if query.identity != 4)
    assert sorted(query.identity for query, _ in pairs[:5]) == [0, 1, 2, 3, 4]
    assert matching(benchmark(), 99) == pairs
    assert matching(benchmark(), 3) == pairs[:3]
    alone = Benchmark("b", (), benchmark().query[:1], (), cross_camera)
    with pytest.raises(DataError, match="another picture in the gallery"):
        matching(alone, 1)


def test_areas_are_compared_picture_by_picture() -> None:
    rng = np.random.default_rng(0)
    areas = rng.random((2, 50))
    rows = [
        {"network": name, "query": q, "area": area, "height": 0.0, "spread": 0.0}
        for name, own in zip("ab", areas, strict=True)
        for q, area in enumerate(own)
    ]
    first, second = comparison_rows(pd.DataFrame(rows), to="a")
    assert first == ["a", pytest.approx(areas[0].mean()), 0, 0, None, None, None]
    difference = areas[1] - areas[0]
    half = 1.959964 * np.sqrt(difference.var(ddof=1) / 50)
    mean = difference.mean()
    assert second[4:] == pytest.approx([mean, mean - half, mean + half])


def test_the_study_goes_on_where_it_was_stopped(runs: list[Path], tmp_path: Path) -> None:
    flags = ["study", "attention", "--out", str(tmp_path), *SYNTHETIC, "--runs", f"[{runs[0]}]"]
    flags += ["--shown", "2", "--measured", "5"]
    main(flags)
    results = pd.read_csv(tmp_path / "attention.csv")
    assert results["network"].value_counts().to_dict() == {"before training": 5, "one": 5}
    page = (tmp_path / "study.html").read_text()
    assert page.count('<article class="card">') == 2
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
    made = {path: path.stat().st_mtime_ns for path in tmp_path.glob("extents/*.csv")}
    main(flags)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == files
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("extents/*.csv")} == made
