"""``benchmarks training`` and ``gpu`` measure what they say, beside other projects, and refuse where they cannot."""

import re
from pathlib import Path

import pytest
import torch
from benchmarks import gpu, structure, training
from benchmarks.__main__ import parsed

from reseen.cli import main
from reseen.commands.train import Augmentation
from reseen.models import ModalityOptions, ModelSpec
from reseen.recipes import costs
from tests.training import tiny

CASE = training.Case(ModelSpec("tests.training.tiny.Tiny", tiny.HEIGHT, tiny.WIDTH), 2, 1, Augmentation(pad=2), "tiny")
# What the benchmark asks of torchreid; a step takes all pictures of a batch from their files.
TORCHREID = """
import types
from pathlib import Path
from PIL import Image

class ImageDataset:
    def __init__(self, train, query, gallery, **options):
        self.train = train

known = {}

class ImageDataManager:
    def __init__(self, sources, batch_size_train, num_instances, train_sampler, **options):
        assert train_sampler == "RandomIdentitySampler" and num_instances == 4
        items = known[sources](root="").train
        self.num_train_pids = len({pid for _, pid, _ in items})
        starts = range(0, len(items) - batch_size_train + 1, batch_size_train)
        self.train_loader = [items[start:start + batch_size_train] for start in starts]

class ImageTripletEngine:
    def __init__(self, data, model, optimizer, label_smooth):
        self.train_loader, self.model = data.train_loader, model
    def set_model_mode(self, mode):
        assert mode == "train"
    def forward_backward(self, batch):
        seen = [Image.open(path).size for path, _, _ in batch]
        with open(Path(__file__).parent / "seen.txt", "a") as file:
            print(self.model, len(seen), *seen[0], file=file)

data = types.SimpleNamespace(ImageDataset=ImageDataset, ImageDataManager=ImageDataManager,
                             register_image_dataset=known.__setitem__)
models = types.SimpleNamespace(build_model=lambda name, classes, **options: f"{name}_{classes}")
optim = types.SimpleNamespace(build_optimizer=lambda model, **options: None)
engine = types.SimpleNamespace(ImageTripletEngine=ImageTripletEngine)
"""


@pytest.fixture
def checkouts(tmp_path: Path) -> dict[str, Path]:
    for name, source in (("torchreid", TORCHREID), ("fastreid", "raise ImportError('too old for this Python')")):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "__init__.py").write_text(source)
    return {"torchreid": tmp_path / "torchreid", "fast_reid": tmp_path / "fastreid"}


def test_training_is_measured_beside_the_network_and_other_projects(
    checkouts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = training.measure(CASE, tmp_path / "out", workers=0, rounds=1, peers=checkouts, steps=1)
    speeds = {name: speed for name, speed in found.items() if isinstance(speed, float)}
    assert list(speeds) == ["network alone", "with losses", "the loop", "the loop, decoding", "torchreid"]
    assert min(speeds.values()) > 0
    assert found["fast_reid"] == "does not run here: ImportError: too old for this Python"
    files = list((tmp_path / "out" / "files").glob("*.jpg"))
    identities = len({path.name.split("_")[0] for path in files})
    seen = set((checkouts["torchreid"] / "torchreid" / "seen.txt").read_text().splitlines())
    assert seen == {f"tiny_{identities} {CASE.batch} {training.FILES[1]} {training.FILES[0]}"}
    training.show("tiny", CASE, found)
    printed = capsys.readouterr().out
    assert "100.0% of the network's" in printed
    assert re.search(r"share of the network's speed, the loop: \S+, at least 0.95: (met|MISSED)", printed)


def test_flags_stand_behind_one_name() -> None:
    known = ["memory", "training"]
    assert parsed([], known) == (known, [])
    assert parsed(["training", "--rounds", "1"], known) == (["training"], ["--rounds", "1"])
    with pytest.raises(SystemExit, match="expected one name before --rounds, got 2"):
        parsed(["--rounds", "1"], known)
    with pytest.raises(SystemExit, match="expected names among memory, training, got speed"):
        parsed(["speed"], known)


@pytest.mark.parametrize("precision", list(gpu.TYPES))
@pytest.mark.parametrize(
    "recipe", ["demo", "veri776/moreid_he", "sysu_mm01/expat", "market1501/strong_baseline_center"]
)
def test_the_step_of_a_recipe_is_measured(recipe: str, precision: str) -> None:
    norms = ModalityOptions(norms=recipe.startswith("sysu"))
    spec = ModelSpec("tests.training.tiny.Tiny", tiny.HEIGHT, tiny.WIDTH, neck="common", modalities=norms)
    step = gpu.step_of(recipe, precision, torch.device("cpu"), spec)
    batches = gpu.settings_of(recipe)["batches"]
    assert step.batch == batches.identities * batches.images * (2 if batches.by_modality else 1)
    assert step.waits == (precision == "fp16" or norms.norms)
    cost = gpu.measured(recipe, precision, torch.device("cpu"), spec)
    assert cost.pictures_per_second > 0
    assert 0 <= cost.outside < 1


def test_a_step_trains_network_and_losses() -> None:
    spec = ModelSpec("tests.training.tiny.Tiny", tiny.HEIGHT, tiny.WIDTH, neck="common")
    made: list[torch.optim.Optimizer] = []

    class Recorded(torch.optim.AdamW):
        def __init__(self, groups: list[dict]) -> None:
            super().__init__(groups)
            made.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "Adam", Recorded)
        step = gpu.step_of("market1501/adasp_resnet50_ibn", "bf16", torch.device("cpu"), spec)
    parameters = [p for group in made[0].param_groups for p in group["params"]]
    before = [p.clone() for p in parameters]
    step.whole()
    assert all(not torch.equal(p, old) for p, old in zip(parameters, before, strict=True) if p.numel() > 8)


def test_what_was_measured_stands_with_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(costs, "MEASURED", tmp_path / "measured.csv")
    assert costs.measured_costs("market1501/bot") == []
    found = costs.MeasuredCost("market1501/bot", "fp16", "Some GPU", 1552.0, 0.04, 7_250_000_000)
    gpu.write([found, costs.MeasuredCost("demo", "bf16", "Some GPU", 1.0, 0.0, 0)], costs.MEASURED)
    assert costs.measured_costs("market1501/bot") == [found]
    main(["recipes", "market1501/bot"])
    epochs = costs.settings_of("market1501/bot")["schedule"]["epochs"]
    hours = 12_936 * epochs / 1552 / 3600
    assert f"1,552 pictures a second, 7.2 GB, {hours:.1f} hours: Some GPU, fp16" in " ".join(
        capsys.readouterr().out.split()
    )


def test_what_is_measured_anew_takes_the_place_of_its_own_rows_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = [costs.MeasuredCost(f"market1501/{name}", "bf16", "Old GPU", 100.0, 0.5, 1) for name in ("bot", "sbs")]
    again = costs.MeasuredCost("market1501/bot", "bf16", "New GPU", 200.0, 0.1, 2)
    monkeypatch.setattr(costs, "MEASURED", tmp_path / "measured.csv")
    gpu.write(before, costs.MEASURED)
    for name, instead in {
        "require_gpu": lambda: None,
        "searching": lambda *_: {},
        "recipes": lambda *_: iter([again]),
    }.items():
        monkeypatch.setattr(gpu, name, instead)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "New GPU")
    gpu.main(["--keep", "--recipe", "market1501/bot"])
    assert costs.measured_costs("market1501/bot") == [again]
    assert costs.measured_costs("market1501/sbs") == before[1:]


def test_steps_of_the_same_settings_have_one_key() -> None:
    assert gpu.step_key("market1501/bot") == gpu.step_key("dukemtmc/bot")  # other data alone
    assert gpu.step_key("market1501/bot") != gpu.step_key("market1501/sbs")


def test_evaluation_and_reranking_are_timed() -> None:
    assert min(gpu.searching((200, 900, 8), torch.device("cpu")).values()) > 0


def test_without_a_gpu_it_refuses_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"^expected a GPU that torch can use, found none; .*gpu\.md"):
        gpu.main(["--only_check"])


def test_a_query_goes_through_the_modules_in_one_direction(capsys: pytest.CaptureFixture[str]) -> None:
    """Wanted: no two modules that call each other while ``evaluate`` scores."""
    structure.print_way(structure.ROOT / "src")
    shown = capsys.readouterr().out
    assert re.search(r"^evaluation/ranks +\d+ +\d+$", shown, re.M)
    assert "modules that call each other: none" in shown


def test_files_that_know_a_thing_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (
        ("src/a.py", "PCB and VERIWild"),
        ("src/b.py", "PCBs"),
        ("docs/a.md", "PCB"),
        ("docs/a.txt", "PCB"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    structure.print_files(tmp_path)
    rows = {line[:34].strip(): line[34:].split() for line in capsys.readouterr().out.splitlines()}
    assert rows["a network with branches (PCB)"] == ["1", "0", "1"]
    assert rows["a data set (VERIWild)"] == ["1", "0", "0"]


def test_lines_are_counted_by_capability(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wanted: lines, docstrings and code of a module of its own, of a package, and of all."""
    texts = {
        "trust.py": '"""A module\n\nof three lines."""\n\n# Why.\nTEXT = """kept\n"""\n',
        "losses/base.py": 'import os\n\n\nasync def f():\n    """Do it."""\n',
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    structure.print_lines(tmp_path)
    rows = {line[:34].strip(): line[34:].split() for line in capsys.readouterr().out.splitlines()}
    assert rows["trust in files, environment"] == rows["all of that"] == ["7", "3", "2"]
    assert rows["losses"] == rows["the rest"] == ["5", "1", "2"]
    assert rows["all"] == ["12", "4", "4"]


def test_modules_of_a_capability_are_there() -> None:
    package = structure.ROOT / "src/reseen"
    patterns = [pattern for own in structure.CAPABILITIES.values() for pattern in own]
    assert [pattern for pattern in patterns if not list(package.glob(f"{pattern}.py"))] == []
