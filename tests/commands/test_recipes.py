"""The verb that lists recipes and shows one."""

import re

import pytest

from reseen.cli import main
from reseen.recipes import names, path_of


@pytest.fixture(autouse=True)
def width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


def test_the_list_has_every_recipe_its_figures_and_its_cost_in_a_hundred_columns(capsys):
    main(["recipes"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    first = {line.split()[0] for line in lines if line.strip()}
    assert {name.rpartition("/")[2] for name in names()} <= first
    (row,) = (line for line in lines if line.split()[:1] == ["strong_baseline_center"] and "86.4" in line)
    assert row.split()[-5:-2] == ["76.4", "86.4", "23.5"]


def test_eighty_columns_lose_nothing(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    main(["recipes", "--data", "market1501"])
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    (row,) = (line for line in said.splitlines() if line.split()[:1] == ["adasp_mgn"])
    assert row.split()[-5:] == ["88.5", "95.5", "68.8", "8.2", "1.2"]
    main(["recipes", "market1501/strong_baseline_center"])
    said = capsys.readouterr().out
    assert str(path_of("market1501/strong_baseline_center")) in said  # unbroken, to be copied


def test_one_data_set_s_recipes_and_none_of_others(capsys):
    main(["recipes", "--data", "veri776", "--teraflops", "20"])
    said = capsys.readouterr().out
    assert "20 teraflops" in said
    (row,) = (line for line in said.splitlines() if line.split()[:1] == ["adasp"])
    assert row.split()[-5:-3] == ["82.7", "96.7"]  # the best of the tables that vary it
    assert "market1501" not in said
    (split,) = (line for line in said.splitlines() if line.split()[:1] == ["sbs"])
    assert split.split()[-5:-3] == ["81.9", "97.0"]


def test_one_recipe_in_full(capsys):
    main(["recipes", "vehicleid/bot"])
    said = capsys.readouterr().out
    for score in ("86.6", "82.9", "80.6", "97.9"):
        assert score in said
    text = path_of("vehicleid/bot").read_text().partition("\ndata:")[2]
    joined = "".join(said.split())
    assert all("".join(line.split()) in joined for line in text.splitlines())
    assert "reseen train --config vehicleid/bot --data.root FOLDER --out runs/vehicleid_bot" in said


def test_the_speed_here_is_measured_where_it_is_asked_for(capsys):
    main(["recipes", "demo", "--speed", "true"])
    said = capsys.readouterr().out
    assert "speed here" in said
    assert "--data.root" not in said  # drawn pictures have none


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["market1501/bots"], "did you mean market1501/bot"),
        (["--data", "market"], "expected a data set among cuhk03_detected, .*, got 'market'"),
    ],
)
def test_what_there_is_not_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["recipes", *arguments])
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert re.search(message, said)
