"""A data set checks itself when it is made, whatever its file imports; a bare Benchmark is taken as it is."""

from __future__ import annotations

import pytest
from jsonargparse import ArgumentParser

from reseen.errors import DataError
from reseen.protocols import cross_camera
from reseen.types import Benchmark, PublishedData, Sample


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


class Counted(Twice):
    """Two pictures where three of two identities were published."""

    def __init__(self, root: str) -> None:
        samples = [Sample(f"{root}/{name}.jpg", name, 1) for name in "ab"]
        Benchmark.__init__(self, "counted", samples, (), (), cross_camera)

    @classmethod
    def published(cls, *, root: str, **arguments: object) -> PublishedData:
        return PublishedData("counted", {"train": (3, 2), "query": (0, 0)} if root == "few" else {"train": (2, 2)})


def test_what_is_not_as_published_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    Counted("whole")
    assert not caplog.records
    Counted(root="few")
    (record,) = caplog.records
    assert "counted is not as published" in record.message
    assert record.message.endswith("train 2 pictures of 2 identities instead of 3 of 2")


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
