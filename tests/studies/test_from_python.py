"""Each study called from Python with objects, and data sets said as plain values."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.datasets.miniatures import MINIATURES
from tests.studies.small import SYNTHETIC
from tests.training import tiny

from reseen import datasets
from reseen.cli import main
from reseen.cli.parser import parse, verb
from reseen.description import described
from reseen.models import ModelSpec
from reseen.studies import summaries
from reseen.studies.losses import losses
from reseen.studies.runner import OutputOptions, Study, StudyOptions, TrainingOptions
from reseen.studies.sensitivity import sensitivity
from reseen.types import Benchmark


def small(**arguments: int) -> datasets.Synthetic:
    return datasets.Synthetic(
        **{"num_train_identities": 4, "num_test_identities": 4, "num_cameras": 2, "images_per_camera": 3, "height": 16}
        | arguments
    )


# Study -> its arguments, as objects and as words of the command line.
TRAINED = {
    "components": ({"which": "without_one"}, ["--which", "without_one"]),
    "data-fraction": ({"fractions": (1.0, 0.5)}, ["--fractions", "[1.0, 0.5]"]),
    "instances": (
        {"batch": 8, "counts": [2, 4], "names": ["SPHLoss"], "weights": {"SPHLoss": 0.5}, "alone": False},
        ["--batch=8", "--counts=[2,4]", "--names=[SPHLoss]", '--weights={"SPHLoss": 0.5}', "--alone=false"],
    ),
    "losses": ({"names": ["FIDILoss(beta=0.7)", "HELoss"]}, ["--names", "[FIDILoss(beta=0.7), HELoss]"]),
    "momentum": ({"names": ["HELoss"]}, ["--names", "[HELoss]"]),
    "sensitivity": ({"grid": {"loss.temperature": [0.1, 0.2]}}, ["--grid", '{"loss.temperature": [0.1, 0.2]}']),
}


@pytest.mark.parametrize("name", TRAINED)
def test_a_study_takes_objects_as_the_command_line_takes_words(name: str, started: list[str], tmp_path: Path) -> None:
    arguments, words = TRAINED[name]
    settings = {"schedule": {"epochs": 2}}
    out = tmp_path / "python"
    options = StudyOptions(out, seeds=2, jobs=2, recipe="market1501/baseline2_triplet", settings=settings)
    verb(f"study {name}")(small(), options, **arguments)
    count = len(started)
    other = tmp_path / "words"
    shared = ["--seeds", "2", "--jobs", "2", "--recipe", "market1501/baseline2_triplet"]
    main(["study", name, "--out", str(other), *SYNTHETIC, *shared, "--settings", '{"schedule": {"epochs": 2}}', *words])
    assert len(started) == 2 * count > 0
    for path in [*out.rglob("*.csv"), *out.glob("runs/*.yaml")]:
        assert path.read_bytes() == (other / path.relative_to(out)).read_bytes(), path
    ours, theirs = (yaml.safe_load((folder / "study.yaml").read_text()) for folder in (out, other))
    assert ours == {**theirs, "out": str(out)}
    assert (out / "study.html").is_file()


def test_cross_domain_takes_several_data_sets(started: list[str], tmp_path: Path) -> None:
    verb("study cross-domain")([small(), small(seed=1)], StudyOptions(tmp_path, seeds=1), names=["a", "b"])
    results = pd.read_csv(tmp_path / "results.csv")
    assert results["tested on"].tolist() == ["a", "b", "b", "a"]
    assert yaml.safe_load((tmp_path / "runs" / "a-b-0.yaml").read_text()) == {"data": described(small(seed=1))}


def test_splits_takes_a_data_set_with_divisions(started: list[str], tmp_path: Path) -> None:
    data = datasets.RegDB(**MINIATURES["RegDB"](tmp_path / "data"))
    verb("study splits")(data, TrainingOptions(tmp_path / "out"), count=2)
    assert started == ["1", "2"]
    second = yaml.safe_load((tmp_path / "out" / "runs" / "2.yaml").read_text())["data"]
    assert second == described(datasets.RegDB(tmp_path / "data", trial=2))


@pytest.mark.parametrize("name", ["attention", "fidelity", "rankings"])
def test_a_study_of_networks_takes_finished_runs(name: str, runs: list[Path], tmp_path: Path) -> None:
    options = StudyOptions(tmp_path) if name == "fidelity" else TrainingOptions(tmp_path)
    verb(f"study {name}")(small(), options, runs=runs, **({"shown": 1, "measured": 2} if name == "attention" else {}))
    assert "one" in (tmp_path / "study.html").read_text()
    again = tmp_path / "again"
    main(["study", name, "--config", str(tmp_path / "study.yaml"), "--out", str(again)])
    for path in tmp_path.glob("*.csv"):
        assert path.read_bytes() == (again / path.name).read_bytes()


def test_harmful_pairs_takes_a_network(tmp_path: Path) -> None:
    model = tiny.model().spec
    assert isinstance(model, ModelSpec)
    few = {"identities": 2, "num_batches": 3, "draws": 10, "instances": [2]}
    verb("study harmful-pairs")(small(), OutputOptions(tmp_path), model=model, names=["SupConLoss"], **few)
    assert set(pd.read_csv(tmp_path / "results.csv")["part"]) == {"simulated", "drawn", "pull"}
    main(["study", "harmful-pairs", "--config", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "again")])
    assert (tmp_path / "again" / "results.csv").read_bytes() == (tmp_path / "results.csv").read_bytes()


def test_every_study_is_called_here() -> None:
    others = {"attention", "cross-domain", "fidelity", "harmful-pairs", "rankings", "splits"}
    assert set(summaries()) == {*TRAINED, *others}
    for name in summaries():
        assert "resolved" not in inspect.signature(verb(f"study {name}")).parameters


@pytest.mark.parametrize("name", MINIATURES)
def test_data_is_said_as_the_command_line_says_it(name: str, tmp_path: Path) -> None:
    arguments = MINIATURES[name](tmp_path)
    data = getattr(datasets, name)(**arguments)
    said = described(data)
    assert said["class_path"] == f"reseen.datasets.{name}"
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump({"data": said}))
    _, values = parse("check-data", ["--config", str(path)])
    assert described(values["data"]) == said
    assert (values["data"].train, values["data"].query) == (data.train, data.query)


class Mine(Benchmark):
    """Data of one's own."""

    def __init__(self, folder: Path, *, source: Benchmark, ages: dict[str, int] | None = None) -> None:
        super().__init__("mine", source.train, source.query, source.gallery, source.protocol)


def test_data_of_ones_own_is_said_by_its_arguments() -> None:
    said = described(Mine(Path("x"), source=small(), ages={"a": 1}))
    assert said["class_path"] == f"{__name__}.Mine"
    arguments = {"folder": "x", "source": described(small()), "ages": {"a": 1}}
    assert said["init_args"] == arguments


def test_data_that_no_other_process_can_make_is_refused(tmp_path: Path) -> None:
    data = small()
    plain = Benchmark("mine", data.train, data.query, data.gallery, data.protocol)
    with pytest.raises(ValueError, match="expected data or a loss of a class that another process can import"):
        losses(plain, StudyOptions(tmp_path / "out"))

    class Local(Mine):
        pass

    with pytest.raises(ValueError, match=r"import, got .*Local"):
        described(Local(Path("x"), source=data))
    with pytest.raises(ValueError, match="expected plain values, paths and data sets"):
        described(Mine(lambda: 3, source=data))  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="one seed or more, got 0"):
        StudyOptions(Path("x"), seeds=0)
    with pytest.raises(ValueError, match="one job or more, got 0"):
        TrainingOptions(Path("x"), jobs=0)


def test_only_arguments_belong_to_a_study() -> None:
    local = {"data": small(), "options": StudyOptions(Path("x")), "grid": {"seed": [1]}, "left_over": object()}
    assert set(Study(sensitivity, local).arguments) == {"data", "grid"}


def test_the_documented_study_of_ones_own_runs(started: list[str], tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "def smoothing" in block)
    module: dict[str, Any] = {}
    exec(code, module)
    module["smoothing"](small(), StudyOptions(tmp_path, seeds=2), values=(0.0, 0.3))
    assert sorted(started) == ["0.0-0", "0.0-1", "0.3-0", "0.3-1"]
    settings = yaml.safe_load((tmp_path / "runs" / "0.3-1.yaml").read_text())
    assert settings["terms"][0]["loss"]["init_args"] == {"smoothing": 0.3}
    assert "Label smoothing, Synthetic" in (tmp_path / "study.html").read_text()


@pytest.mark.parametrize("name", summaries())
def test_a_study_has_a_page(name: str) -> None:
    docs = Path(__file__).parents[2] / "docs"
    elsewhere = {"splits": docs / "infrared.md", "momentum": docs / "momentum.md"}
    page = elsewhere.get(name, docs / "studies" / f"{name}.md").read_text()
    assert f"reseen study {name} " in page
