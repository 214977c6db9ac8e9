"""What every data set promises, put to each that is exported."""

import inspect
import logging
import os
import pickle
from pathlib import Path

import pytest
import torch
from jsonargparse import ArgumentParser
from tests.datasets.miniatures import MINIATURES

from reseen import datasets
from reseen.errors import DataError
from reseen.evaluation import evaluate
from reseen.protocols import any_view
from reseen.types import Benchmark, Embeddings

NAMES = sorted(set(datasets.__all__))
READ_FROM_DISK = sorted(set(NAMES) - {"Joined", "Subset", "Synthetic", "Transfer"})


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.ERROR)


def build(name: str, root: Path) -> Benchmark:
    return getattr(datasets, name)(**MINIATURES[name](root))


def test_every_data_set_has_a_miniature():
    assert set(MINIATURES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_is_a_sound_benchmark(name, tmp_path):
    benchmark = build(name, tmp_path)
    assert isinstance(benchmark, Benchmark)
    assert benchmark.name
    assert benchmark.train
    tested = {s.identity for s in benchmark.query}
    searched = {s.identity for s in benchmark.gallery}
    assert tested
    assert tested <= searched
    assert not tested & benchmark.distractors
    assert not {s.identity for s in benchmark.train} & (tested | searched - benchmark.distractors)
    if benchmark.protocol.same_camera == "exclude":
        assert all(s.camera is not None for s in (*benchmark.query, *benchmark.gallery))


@pytest.mark.parametrize("name", NAMES)
def test_its_pictures_exist(name, tmp_path):
    benchmark = build(name, tmp_path)
    for sample in (*benchmark.train, *benchmark.query, *benchmark.gallery):
        assert sample.draw is not None or Path(sample.path).is_file(), sample


@pytest.mark.parametrize("name", NAMES)
def test_travels_to_another_process(name, tmp_path):
    benchmark = build(name, tmp_path)
    copy = pickle.loads(pickle.dumps(benchmark))
    assert (copy.name, copy.train, copy.gallery) == (benchmark.name, benchmark.train, benchmark.gallery)
    assert copy.protocol.name == benchmark.protocol.name


@pytest.mark.parametrize("name", READ_FROM_DISK)
def test_does_not_depend_on_the_order_of_the_file_system(name, tmp_path, monkeypatch):
    arguments = MINIATURES[name](tmp_path)
    before = getattr(datasets, name)(**arguments)
    listdir, scandir = os.listdir, os.scandir

    class Backwards(list):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.clear()

        def close(self):
            self.clear()

        def __next__(self):
            if not self:
                raise StopIteration
            return self.pop(0)

    monkeypatch.setattr(os, "listdir", lambda path=".": sorted(listdir(path), reverse=True))
    monkeypatch.setattr(os, "scandir", lambda path: Backwards(sorted(scandir(path), key=lambda e: e.name)[::-1]))
    after = getattr(datasets, name)(**arguments)
    assert (after.train, after.query, after.gallery) == (before.train, before.query, before.gallery)


@pytest.mark.parametrize("name", READ_FROM_DISK)
@pytest.mark.parametrize("there", [True, False], ids=["other-files", "nothing"])
def test_a_wrong_root_says_what_was_looked_for_and_found(name, there, tmp_path):
    arguments = MINIATURES[name](tmp_path / "right")
    wrong = tmp_path / "wrong"
    if there:
        wrong.mkdir()
        (wrong / "holiday.txt").write_text("sea")
    key = "path" if name == "Table" else "root"
    with pytest.raises(DataError) as failure:
        getattr(datasets, name)(**{**arguments, key: wrong / "own.csv" if name == "Table" else wrong})
    message = str(failure.value)
    assert str(wrong) in message
    assert "expected" in message
    assert "holiday.txt" in message if there else "no such folder" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", NAMES)
def test_its_constructor_is_its_command_line(name):
    documentation = inspect.getdoc(getattr(datasets, name))
    for parameter in inspect.signature(getattr(datasets, name)).parameters.values():
        assert parameter.annotation is not inspect.Parameter.empty
        assert parameter.name not in inspect.signature(Benchmark.__init__).parameters
        assert f"\n    {parameter.name}: " in documentation, parameter.name
        assert (
            parameter.name in ("root", "path", "source", "sources", "target")
            or parameter.default is not inspect.Parameter.empty
        )


@pytest.mark.parametrize("name", NAMES)
def test_identities_and_cameras_are_of_one_type(name, tmp_path):
    benchmark = build(name, tmp_path)
    samples = (*benchmark.query, *benchmark.gallery)
    assert len({type(s.identity) for s in samples}) == 1
    assert len({type(s.camera) for s in samples}) == 1


def test_no_camera_is_asked_for_where_none_counts(tmp_path):
    assert build("Folder", tmp_path).protocol == any_view


@pytest.mark.parametrize("name", READ_FROM_DISK)
def test_the_command_line_builds_it(name, tmp_path):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--data", type=Benchmark)
    arguments = MINIATURES[name](tmp_path)
    flags = [word for key, value in arguments.items() for word in (f"--data.{key}", str(value))]
    built = parser.instantiate(parser.parse_args(["--data", name, *flags])).data
    direct = getattr(datasets, name)(**arguments)
    assert type(built) is type(direct)
    assert (built.train, built.query, built.gallery) == (direct.train, direct.query, direct.gallery)


@pytest.mark.parametrize("name", NAMES)
def test_its_protocol_scores_it(name, tmp_path):
    """Vectors that tell identities apart score 1, each read as the protocol of the data set reads them."""
    benchmark = build(name, tmp_path)
    identities = sorted({s.identity for s in (*benchmark.query, *benchmark.gallery)})
    vectors = torch.eye(len(identities), dtype=torch.float32)
    query, gallery = (
        Embeddings.of(vectors[[identities.index(s.identity) for s in part]], part)
        for part in (benchmark.query, benchmark.gallery)
    )
    report = evaluate(query, gallery, benchmark.protocol)
    assert report.num_queries > 0
    assert report.mean_ap == pytest.approx(1)
    assert report.cmc(1) == pytest.approx(1)
    assert report.protocol == benchmark.protocol.name
