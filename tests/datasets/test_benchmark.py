"""A data set checks itself when it is made, whatever its file imports; a bare Benchmark is taken as it is."""

from __future__ import annotations

import pytest
from jsonargparse import ArgumentParser

from reseen.errors import DataError
from reseen.protocols import cross_camera
from reseen.types import Benchmark, Sample


class Twice(Benchmark):
    """One picture twice.

    Args:
        copies: How often.
    """

    def __init__(self, copies: int = 2) -> None:
        super().__init__("twice", [Sample("a.jpg", 1, 1)] * copies, (), (), cross_camera)


def test_a_data_set_checks_itself() -> None:
    with pytest.raises(DataError, match=r"every picture once in train of twice, found a\.jpg twice"):
        Twice()
    assert len(Benchmark("twice", [Sample("a.jpg", 1, 1)] * 2, (), (), cross_camera).train) == 2


def test_flags_are_checked_under_postponed_annotations() -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=Benchmark)
    with pytest.raises(Exception, match="copies"):
        parser.parse_args([f"--data={__name__}.Twice", "--data.copies", "many"])


def test_it_says_what_it_holds() -> None:
    data = Benchmark("some", [Sample("a.jpg", 1, 1)], (), (), cross_camera)
    assert repr(data) == "Benchmark('some': 1 to train, 0 queries, 0 in the gallery; cross_camera)"
    shown = data._repr_html_()
    assert shown.startswith("<table><caption>some, protocol cross_camera</caption>")
    assert "<td>train</td><td>1</td><td>1</td>" in shown
