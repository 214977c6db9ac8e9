"""The rankings study: its table of queries against a loop, and from the command line on."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.studies.small import SYNTHETIC

from reseen.cli import main
from reseen.evaluation import evaluate
from reseen.geometry import unit
from reseen.protocols import cross_camera
from reseen.reporting import Outcome
from reseen.studies.rankings import by_place, differences
from reseen.types import Benchmark, Embeddings


def outcome(seed: int) -> Outcome:
    generator = torch.Generator().manual_seed(seed)
    identities = [0, 0, 1, 1, 2, 3]
    query = Embeddings(torch.randn(6, 3, generator=generator), identities, cameras=[1] * 6, paths=[*"abcdef"])
    gallery = Embeddings(torch.randn(9, 3, generator=generator), [0, 1, 2] * 3, cameras=[2] * 9)
    return Outcome(evaluate(query, gallery, cross_camera), query, gallery)


def test_queries_come_by_their_difference() -> None:
    outcomes = {"one": outcome(0), "two": outcome(1)}
    found = differences(outcomes)
    assert sorted(found["query"]) == [0, 1, 2, 3, 4]  # the last has no match
    tables = [o.report.per_query for o in outcomes.values()]
    for row in found.itertuples():
        one, two = (table["average_precision"][row.query] for table in tables)
        assert row.gain == two - one
    assert found["gain"].abs().is_monotonic_decreasing
    assert found.set_index("query")["first_rank, two"].to_dict() == tables[1]["first_rank"].dropna().to_dict()


def test_places_are_counted_for_queries_with_enough_matches() -> None:
    one = outcome(0)
    data = Benchmark("b", (), (), (), cross_camera)
    found = by_place(one, data).set_index("place")
    assert found["queries"].to_dict() == {1: 5, 2: 5, 3: 5}  # three matches each, none for the last
    cosines = unit(one.query.vectors) @ unit(one.gallery.vectors).T
    for place in (1, 2, 3):
        order = cosines.argsort(dim=1, descending=True)[:5, place - 1].numpy()
        right = one.gallery.identities[order] == one.query.identities[:5]
        assert found["right"][place] == pytest.approx(right.mean())


def test_the_study_goes_on_where_it_was_stopped(runs: list[Path], tmp_path: Path) -> None:
    flags = ["study", "rankings", "--out", str(tmp_path), *SYNTHETIC, "--runs", f"[{runs[0]}, {runs[1]}]"]
    main(flags)
    assert "mAP of two minus that of one" in (tmp_path / "study.html").read_text()
    assert len(pd.read_csv(tmp_path / "queries.csv")) == 8
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("vectors.npy")}
    main(flags)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == files
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert len(made) == 4


def test_two_networks_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["study", "rankings", "--out", str(tmp_path), *SYNTHETIC, "--names", "[FIDILoss]"])
    assert left.value.code == 1
    assert "expected two networks to compare, got 1" in capsys.readouterr().err
