import statistics
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from tests.reporting.reading import Page

from reseen.reporting import Repeated, Section, charts, facts, table, write_page


def test_a_page_is_whole_and_needs_nothing_else(tmp_path: Path) -> None:
    body = table(["loss", "mAP"], [["AdaSP", 0.873], ["FIDI", None]], percent=True)
    path = write_page(tmp_path / "deep" / "page.html", "Title", sections=[Section("Scores", body), None], lead="<b>")
    page = Page(path)
    page.assert_self_contained()
    assert page.headings == ["Title", "Scores"]
    assert "87.3" in page.words
    assert "<b>" in page.words
    assert list(path.parent.iterdir()) == [path]


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_page(tmp_path / "page.html", "Old", sections=[])
    with pytest.raises(UndefinedError):
        write_page(path, "New", sections=["no section"])  # type: ignore[list-item]
    assert Page(path).headings == ["Old"]
    assert list(tmp_path.iterdir()) == [path]


def test_repeats_are_written_as_mean_and_sample_deviation() -> None:
    values = (0.80, 0.82, 0.87)
    drawn = table(["loss", "mAP"], [["a", Repeated(values)], ["b", Repeated((0.5,))]], percent=True)
    assert f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values):.1f}" in drawn
    assert ">50.0<" in drawn


def test_the_highest_of_a_column_is_bold() -> None:
    drawn = table(["loss", "mAP", "n"], [["a", 0.5, 3], ["b", Repeated((0.6, 0.8)), 9], ["c", None, 1]], best=["mAP"])
    assert drawn.count("best") == 1
    assert 'best">0.7 ±' in drawn


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="expected rows of 2 cells, got 1"):
        table(["a", "b"], [["x"]])


def test_facts_escape_and_leave_out_what_is_absent() -> None:
    drawn = facts({"seed": 0, "command": None, "path": "<script>"}, files={"config.yaml": "a: <b>"})
    assert "<dd>0</dd>" in drawn
    assert "command" not in drawn
    assert "<script>" not in drawn
    assert "a: &lt;b&gt;" in drawn


def test_charts_lie_side_by_side() -> None:
    assert "<figure" not in charts()
