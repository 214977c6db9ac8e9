import pandas as pd
import pytest
import yaml
from tests.studies.test_pages import mean, percent, rows

from reseen.cli.parser import parse
from reseen.training import MoReID


def test_each_loss_without_and_with_a_dictionary(study, started):
    words = ("--names", "[HELoss, NPairLoss]", "--seeds", 2, "--dictionary", '{"momentum": 0.9, "memory_size": 64}')
    folder, page = study("momentum", *words, "--weights", '{"NPairLoss": 0.5}')
    assert len(started) == 8
    gains = pd.read_csv(folder / "gains.csv").set_index("loss")
    runs = {which: [mean(folder, f"CE_+_HE-{which}-{seed}") for seed in range(2)] for which in ("with", "without")}
    expected = (sum(runs["with"]) - sum(runs["without"])) / 2
    assert gains["mean"]["CE + HE"] == pytest.approx(expected)
    (row,) = (row for row in rows(page) if row[0] == "CE + HE")
    assert row[1].startswith(percent(sum(runs["without"]) / 2))
    assert row[2].startswith(percent(sum(runs["with"]) / 2))
    assert row[3] == f"{100 * expected:+.1f}"

    settings = {which: folder / "runs" / f"CE_+_NPair-{which}-1.yaml" for which in ("with", "without")}
    loaded = {which: yaml.safe_load(path.read_text()) for which, path in settings.items()}
    assert loaded["with"] == {**loaded["without"], "candidates": loaded["with"]["candidates"]}
    candidates = parse("train", ["--config", str(settings["with"]), "--out", "unused"])[1]["candidates"]
    assert isinstance(candidates, MoReID)
    assert (candidates.momentum, candidates.memory_size) == (0.9, 64)
    assert parse("train", ["--config", str(settings["without"]), "--out", "unused"])[1]["candidates"] is None
