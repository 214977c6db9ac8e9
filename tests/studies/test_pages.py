"""Each study from its command line to its page, on pretended trainings whose figures are known."""

import inspect
import itertools
import re
import shlex
import statistics
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.datasets.miniatures import MINIATURES
from tests.studies.pretended import DATA, precision

from reseen import cli
from reseen.cli.parser import parse, verb
from reseen.recipes import published
from reseen.studies import summaries
from reseen.studies.components import default_parts


def mean(folder, name):
    return precision(yaml.safe_load((folder / "runs" / f"{name}.yaml").read_text())).mean()


def percent(value):
    return f"{100 * value:.1f}"


def rows(page):
    """Return the text of every table's rows."""
    cells = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    return [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in cells]


def compared(page, pair):
    """Return by how much the page says the first of two rows is above the second."""
    (difference,) = {row[2] for row in rows(page) if tuple(row[:2]) == pair and len(row) == 6}
    return difference


def gained(folder, first, second, seeds=2):
    differences = [mean(folder, f"{first}-{seed}") - mean(folder, f"{second}-{seed}") for seed in range(seeds)]
    return f"{100 * statistics.fmean(differences):+.1f}"


@pytest.mark.parametrize("name", summaries())
def test_every_study_listed_is_there_and_explains_itself(name):
    function = verb(f"study {name}")
    documentation = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters:
        assert f"    {parameter}: " in documentation, parameter


def test_losses(study, started):
    changes = '{"FIDI 0.7": {"loss": "FIDILoss", "loss.beta": 0.7}}'
    folder, page = study("losses", "--names", "[IdentityLoss, AdaSPLoss]", "--others", changes, "--seeds", 2)
    assert len(started) == 6
    results = pd.read_csv(folder / "results.csv")
    assert list(results) == ["loss", "seed", "mean_ap", "mean_inp", "rank_1", "rank_5", "num_queries"]
    assert results["loss"].tolist() == ["CE alone"] * 2 + ["CE + AdaSP"] * 2 + ["FIDI 0.7"] * 2
    means = results.groupby("loss")["mean_ap"].mean()
    assert means["CE + AdaSP"] == pytest.approx((mean(folder, "CE_+_AdaSP-0") + mean(folder, "CE_+_AdaSP-1")) / 2)
    assert any(row[0] == "CE + AdaSP" and row[1].startswith(percent(means["CE + AdaSP"])) for row in rows(page))
    differences = pd.read_csv(folder / "differences.csv").set_index("loss")
    assert differences["mean"]["FIDI 0.7"] == pytest.approx(means["FIDI 0.7"] - means["CE alone"])
    settings = yaml.safe_load((folder / "runs" / "FIDI_0.7-1.yaml").read_text())
    assert settings["terms"][1]["loss"] == {"class_path": "reseen.losses.FIDILoss", "init_args": {"beta": 0.7}}
    assert settings["seed"] == 1


def test_the_command_on_the_page_repeats_the_study(study, started):
    folder, page = study("losses", "--names", "[AdaSPLoss]", "--seeds", 1)
    command = f"reseen study losses --config {folder / 'study.yaml'} --out {folder}"
    assert command in page
    before = (folder / "results.csv").read_bytes()
    cli.main(command.split()[1:])
    assert len(started) == 1
    assert (folder / "results.csv").read_bytes() == before
    assert f"reseen train --config {folder / 'runs' / 'CE_+_AdaSP-0.yaml'}" in page


def test_settings_may_name_classes_with_arguments(study):
    loss = '{"class_path": "reseen.losses.HardTripletLoss", "init_args": {"margin": null}}'
    candidates = '{"class_path": "reseen.training.MoReID", "init_args": {"memory_size": 64}}'
    words = ("--seeds", 1, "--settings", f'{{"loss": {loss}}}', "--grid", f'{{"candidates": [null, {candidates}]}}')
    folder, _ = study("sensitivity", *words)
    without, with_it = (yaml.safe_load(path.read_text()) for path in sorted((folder / "runs").glob("*.yaml")))
    assert [s["terms"][1]["loss"]["init_args"] for s in (without, with_it)] == [{"margin": None}] * 2
    assert {without["candidates"] is None, with_it["candidates"] is None} == {True, False}


def test_instances(study):
    words = ("--batch", 32, "--counts", "[4, 8]", "--names", "[AdaSPLoss, HardTripletLoss]", "--seeds", 2)
    folder, page = study("instances", *words)
    settings = yaml.safe_load((folder / "runs" / "AdaSP-8-0.yaml").read_text())
    assert settings["batches"] == {"identities": 4, "images": 8}
    assert [term["loss"]["class_path"] for term in settings["terms"]] == ["reseen.losses.AdaSPLoss"]
    lost = pd.read_csv(folder / "lost.csv").set_index(["loss", "instances"])
    assert lost["lost"]["HardTriplet", 4] == 0
    by_seed = [1 - mean(folder, f"HardTriplet-8-{seed}") / mean(folder, f"HardTriplet-4-{seed}") for seed in range(2)]
    known, deviation = statistics.fmean(by_seed), statistics.stdev(by_seed)
    assert lost["lost"]["HardTriplet", 8] == pytest.approx(known)
    assert lost["deviation"]["HardTriplet", 8] == pytest.approx(deviation)
    assert any(row[0] == "HardTriplet" and row[-1] == f"{percent(known)} ± {percent(deviation)}" for row in rows(page))
    pairs = [("AdaSP, 8", "AdaSP, 4"), ("HardTriplet, 8", "HardTriplet, 4"), ("HardTriplet, 4", "AdaSP, 4")]
    assert compared(page, pairs[0]) == gained(folder, "AdaSP-8", "AdaSP-4")
    assert compared(page, pairs[1]) == gained(folder, "HardTriplet-8", "HardTriplet-4")
    assert compared(page, pairs[2]) == gained(folder, "HardTriplet-4", "AdaSP-4")


def test_a_batch_that_does_not_divide_is_refused(study, capsys):
    with pytest.raises(SystemExit):
        study("instances", "--batch", 32, "--counts", "[8, 12]")
    assert "expected a batch of two identities or more" in capsys.readouterr().err


def test_data_fraction(study):
    folder, page = study("data-fraction", "--names", "[FIDILoss]", "--seeds", 1, "--same_steps", "true")
    whole, half = (
        yaml.safe_load((folder / "runs" / f"CE_+_FIDI-{share}-0.yaml").read_text()) for share in ("1.0", "0.5")
    )
    assert whole["data"]["class_path"] == "reseen.datasets.Synthetic"
    assert half["data"]["init_args"] == {"source": whole["data"], "share": 0.5, "seed": 0}
    assert (whole["schedule"]["epochs"], half["schedule"]["epochs"], half["schedule"]["warmup"]) == (30, 60, 4.0)
    means = [percent(mean(folder, f"CE_+_FIDI-{share}-0")) for share in ("1.0", "0.75", "0.5", "0.25")]
    assert ["CE + FIDI", *means] in rows(page)


def test_fewer_identities_are_compared_with_the_first_loss_and_all(study):
    folder, page = study("data-fraction", "--fractions", "[1.0, 0.5]", "--seeds", 2)
    assert compared(page, ("CE + FIDI, 0.5", "CE + HardTriplet, 0.5")) == gained(
        folder, "CE_+_FIDI-0.5", "CE_+_HardTriplet-0.5"
    )
    assert compared(page, ("CE + FIDI, 0.5", "CE + HardTriplet, 1.0")) == gained(
        folder, "CE_+_FIDI-0.5", "CE_+_HardTriplet-1.0"
    )
    assert len(pd.read_csv(folder / "differences.csv")) == 3


@pytest.mark.parametrize(
    ("grid", "chart"),
    [
        ('{"loss_weight": [0.1, 0.5]}', 'class="plot"'),
        ('{"loss": [AdaSPLoss, SPHLoss]}', 'class="bars"'),
        ('{"loss_weight": [0.1, 0.5], "loss.temperature": [0.02, 0.04]}', 'class="bars"'),
    ],
)
def test_sensitivity(study, grid, chart):
    folder, page = study("sensitivity", "--grid", grid, "--seeds", 2)
    results = pd.read_csv(folder / "results.csv")
    names = list(yaml.safe_load(grid))
    assert list(results)[: len(names)] == names
    means = results.groupby(names, sort=False)["mean_ap"].mean()
    for key, value in means.items():
        start = [str(part) for part in (key if isinstance(key, tuple) else (key,))]
        assert any(row[:-2] == start and row[-2].startswith(percent(value)) for row in rows(page))
    assert chart in page
    assert f"mAP rises by {percent(means.max() - means.min())}" in page


def test_each_value_is_compared_with_the_first_of_its_setting(study):
    folder, page = study(
        "sensitivity", "--seeds", 2, "--grid", '{"loss_weight": [0.1, 0.5], "loss.temperature": [0.02, 0.04]}'
    )
    pairs = [
        ("0.5, 0.04", "0.1, 0.04"),
        ("0.5, 0.02", "0.1, 0.02"),
        ("0.1, 0.04", "0.1, 0.02"),
        ("0.5, 0.04", "0.5, 0.02"),
    ]
    for first, second in pairs:
        names = [key.replace(", ", "-") for key in (first, second)]
        assert compared(page, (first, second)) == gained(folder, *names)
    assert len(pd.read_csv(folder / "differences.csv")) == 4


def test_more_than_two_settings_are_refused(study, capsys):
    with pytest.raises(SystemExit):
        study("sensitivity", "--grid", '{"a": [1], "b": [1], "c": [1]}')
    assert "one setting or two" in capsys.readouterr().err


def test_components(study):
    folder, page = study("components", "--seeds", 1, "--names", "[HardTripletLoss, HELoss]")
    table = [row for row in rows(page) if row[0] in ("on", "off")]
    assert len(table) == 8
    assert table[0][:3] == ["off"] * 3
    assert table[-1][:3] == ["on"] * 3
    triplet, he = (mean(folder, f"on-on-off-CE_+_{loss}-0") for loss in ("HardTriplet", "HE"))
    assert ["on", "on", "off", percent(triplet), percent(he), f"{100 * (he - triplet):+.1f}"] in table
    settings = yaml.safe_load((folder / "runs" / "off-on-on-CE_+_HE-0.yaml").read_text())
    assert settings["model"]["resnet"] == {"ibn": "a", "non_local": "agw"}
    assert settings["augmentation"] == {"auto_augment": None}


def test_components_as_the_paper_has_them(study):
    folder, page = study("components", "--seeds", 2, "--which", "without_one")
    assert [row[:3].count("on") for row in rows(page) if row[0] in ("on", "off")] == [0, 2, 2, 2, 3]
    pair = ("on, off, on, CE + HE", "on, off, on, CE + HardTriplet")
    assert compared(page, pair) == gained(folder, "on-off-on-CE_+_HE", "on-off-on-CE_+_HardTriplet")
    pair = ("on, on, on, CE + HE", "on, off, on, CE + HE")
    assert compared(page, pair) == gained(folder, "on-on-on-CE_+_HE", "on-off-on-CE_+_HE")
    assert len(pd.read_csv(folder / "differences.csv")) == 5 + 2 * 3


ROOT = Path(__file__).parents[2]
PRETENDED = {"components", "data-fraction", "instances", "losses", "momentum", "sensitivity"}


def commands(page):
    """Return the words of each command about a study on a page: its name, and its arguments in pairs."""
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(), flags=re.DOTALL)
    found = [command for block in blocks for command in re.split(r"^(?=reseen )", block, flags=re.MULTILINE)]
    for command in found:
        if command.startswith("reseen study ") and "..." not in command and "--help" not in command:
            _, _, name, *words = shlex.split(command.replace("\\\n", " "), comments=True)
            pairs = [pair for pair in itertools.pairwise(words) if pair[0].startswith("--")]
            yield name, [pair for pair in pairs if pair[0] not in ("--out", "--jobs", "--seeds")]


DOCUMENTED = [
    pytest.param(name, pairs, id=f"{page.stem}-{number}")
    for page in sorted(ROOT.glob("docs/**/*.md"))
    for number, (name, pairs) in enumerate(commands(page))
    if name in PRETENDED
]


@pytest.mark.parametrize(("name", "pairs"), DOCUMENTED)
def test_documented_commands_are_taken(name, pairs, study, started):
    words = [word for pair in pairs if not pair[0].startswith("--data") for word in pair]
    folder, _ = study(name, *words, "--seeds", 1)
    for run in {started[0], started[-1]}:
        parse("train", ["--config", str(folder / "runs" / f"{run}.yaml"), "--out", "unused"])


def documented(page, study):
    """Return the arguments of the command on a page that repeats a recipe on VeRi-776, but for its data."""
    veri = ("--data", "VeRi776")
    (pairs,) = (p for name, p in commands(ROOT / "docs" / "studies" / page) if name == study and veri in p)
    return [word for pair in pairs if not pair[0].startswith("--data") for word in pair]


def on_veri(tmp_path):
    return ["--data", "VeRi776", "--data.root", str(MINIATURES["VeRi776"](tmp_path)["root"])]


def test_the_documented_command_of_table_e_is_table_e(study, tmp_path):
    words = documented("components.md", "components")
    folder, page = study("components", *words, "--seeds", 1, data=on_veri(tmp_path / "data"))
    beside = {row[-1]: row[1:3] for row in rows(page) if row[-1].startswith("HE, supplement E")}
    table_e = [row for row in published() if row.table == "supplement E"]
    assert beside.keys() == {row.source for row in table_e}
    assert [beside[row.source][1] for row in table_e] == [f"{row.mean_ap:.1f}" for row in table_e]
    states = [name.removesuffix("-CE_+_HE-0") for name in ("off-off-off-CE_+_HE-0", "on-off-on-CE_+_HE-0")]
    for state in states:  # without IBN there are no weights of a network with it
        settings = yaml.safe_load((folder / "runs" / f"{state}-CE_+_HE-0.yaml").read_text())
        assert settings["model"]["weights"] == "imagenet"
        assert settings["model"]["resnet"]["ibn"] is None
        assert settings["terms"][0]["loss"]["class_path"].endswith("CircleSoftmaxLoss")
    assert settings["model"]["resnet"]["non_local"] == "fast-reid"


def test_weights_that_are_not_of_ibn_stay():
    model = {"backbone": "timm:resnet18", "weights": "mine.pth"}
    assert default_parts({"model": model})["IBN"]["off"] == {"model.resnet.ibn": None}
    with_ibn = {"model": {**model, "resnet": {"ibn": "b"}}}
    assert default_parts(with_ibn)["IBN"] == {
        "on": {"model.resnet.ibn": "b"},
        "off": {"model.resnet.ibn": None, "model.weights": "imagenet"},
    }


def test_the_documented_command_of_figure_s1_trains_with_the_papers_arguments(study, tmp_path):
    words = documented("instances.md", "instances")
    folder, page = study("instances", *words, "--seeds", 1, data=on_veri(tmp_path / "data"))
    beside = {row[0]: row[2] for row in rows(page) if "AdaSP" in row[-1] and "," in row[-1]}
    assert beside == {"SPH(temperature=0.05), 8": "75.3", "SPLH(temperature=0.05), 8": "77.2", "AdaSP, 8": "77.6"}
    triplet = yaml.safe_load(next(folder.glob("runs/HardTriplet*-8-0.yaml")).read_text())
    assert [term["loss"]["init_args"] for term in triplet["terms"]] == [{"margin": None}]


def several(*seeds):
    words = []
    for seed in seeds:
        words += ["--data+=Synthetic", "--data.seed", str(seed), *(word for word in DATA[2:])]
    return words


def test_cross_domain(study, started):
    folder, page = study("cross-domain", "--seeds", 1, data=several(0, 1))
    assert len(started) == 4
    first, second = "1 Synthetic person visible", "2 Synthetic person visible"
    stem = "1_Synthetic_person_visible-{}_Synthetic_person_visible-0"
    assert yaml.safe_load((folder / "runs" / f"{stem.format(2)}.yaml").read_text()).keys() == {"data"}
    own, other = (percent(mean(folder, stem.format(number))) for number in (1, 2))
    assert [first, own, other] in rows(page)
    results = pd.read_csv(folder / "results.csv")
    assert results["trained on"].tolist() == [first, first, second, second]


def test_cross_domain_of_models_that_are_there(study, started, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    models = f"[{tmp_path / 'one'}, {tmp_path / 'two'}]"
    folder, _ = study("cross-domain", "--models", models, data=several(0, 1))
    assert len(started) == 4
    assert pd.read_csv(folder / "results.csv")["trained on"].tolist() == ["one", "one", "two", "two"]


def test_published_figures_stand_beside_measured_ones(study, tmp_path):
    data = ["--data", "VeRi776", "--data.root", str(MINIATURES["VeRi776"](tmp_path)["root"])]
    words = ("--recipe", "veri776/adasp", "--grid", '{"loss_weight": [0.1, 0.2]}', "--seeds", 1)
    folder, page = study("sensitivity", *words, data=data)
    own = percent(mean(folder, "0.1-0"))
    (row,) = [row for row in rows(page) if row[-1] == "AdaSP, Table S3: lambda 0.1"]
    assert (row[1], row[2], row[4]) == (own, "82.0", "97.1")
    assert not any(row[0] == "0.2" and "Table" in row[-1] for row in rows(page))


def test_rows_may_be_whole_recipes(study, tmp_path):
    data = ["--data", "VeRi776", "--data.root", str(MINIATURES["VeRi776"](tmp_path)["root"])]
    recipes = "[veri776/sph_only, veri776/splh_only]"
    folder, page = study("losses", "--names", "[]", "--recipes", recipes, "--seeds", 1, data=data)
    published = [row[2] for row in rows(page) if row[-1].startswith("AdaSP, README")]
    assert published == ["75.3", "77.2"]
    assert yaml.safe_load((folder / "runs" / "veri776_sph_only-0.yaml").read_text())["data"]["init_args"]["root"]


def test_a_page_needs_nothing_but_itself(study):
    _, page = study("sensitivity", "--grid", '{"loss_weight": [0.1, 0.5]}', "--seeds", 1)
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!results\.csv|differences\.csv)', page)
    assert "width=device-width" in page
