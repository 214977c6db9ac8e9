"""Many runs: which comes next, how far they are, who may do them."""

import fcntl
import json
import subprocess

import pandas as pd
import pytest
from tests.studies.pretended import precision

from reseen.errors import RunError
from reseen.studies.runner import Run, engine, progress
from reseen.studies.runner.engine import perform

RUNS = [Run({"loss": name, "seed": seed}, {"loss": name, "seed": seed}) for name in "ab" for seed in range(2)]


def test_every_run_is_done_once_and_stands_in_its_order(started, tmp_path):
    results = perform(RUNS, tmp_path, jobs=3)
    assert sorted(started) == ["a-0", "a-1", "b-0", "b-1"]
    assert results["mean_ap"].tolist() == [precision(dict(run.settings)).mean() for run in RUNS]
    before = (tmp_path / "results.csv").read_bytes()
    pd.testing.assert_frame_equal(perform(RUNS, tmp_path), results)
    assert len(started) == 4
    assert (tmp_path / "results.csv").read_bytes() == before


def test_a_run_with_other_settings_is_not_taken_for_this_one(started, tmp_path):
    perform(RUNS, tmp_path)
    with pytest.raises(RunError, match="found other settings; choose another --out"):
        perform([Run(RUNS[0].conditions, {"loss": "c"})], tmp_path)


def test_names_must_differ(tmp_path):
    with pytest.raises(ValueError, match="names of their own"):
        perform([RUNS[0], RUNS[0]], tmp_path)


def test_an_evaluation_waits_for_its_model(started, tmp_path):
    training = Run({"on": "a", "to": "a"}, {"data": 1})
    runs = [Run({"on": "a", "to": "b"}, {"data": 2}, model="a-a"), training]
    perform(runs, tmp_path, jobs=2)
    assert started == ["a-a", "a-b"]
    assert runs[0].command(tmp_path / "runs")[:2] == ["evaluate", str(tmp_path / "runs" / "a-a")]


def test_a_run_that_fails_stops_no_other_but_what_needs_it(started, tmp_path, monkeypatch):
    stub = engine._start

    def start(folder, run, **given):
        return subprocess.Popen(["false"]) if run.name == "a-0" else stub(folder, run, **given)

    monkeypatch.setattr(engine, "_start", start)
    needs = Run({"loss": "a", "seed": 9}, {"data": 2}, model="a-0")
    with pytest.raises(RunError, match=r"2 of 5 failed: a-0, a-9; see .*a-0\.log"):
        perform([*RUNS, needs], tmp_path)
    assert sorted(started) == ["a-1", "b-0", "b-1"]
    found = pd.read_csv(tmp_path / "results.csv")
    assert found[["loss", "seed"]].to_numpy().tolist() == [["a", 1], ["b", 0], ["b", 1]]


def test_where_all_fail_there_is_no_table(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "_start", lambda folder, run, **given: subprocess.Popen(["false"]))
    with pytest.raises(RunError, match=r"4 of 4 failed.* what is done stays$"):
        perform(RUNS, tmp_path)
    assert not (tmp_path / "results.csv").exists()


def test_how_much_of_a_run_is_done_is_read_from_its_metrics(tmp_path):
    run = Run({"x": 1}, {"schedule": {"epochs": 8}})
    assert engine._share(tmp_path, run) == 0
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "config.yaml").write_text("schedule: {epochs: 8}")
    lines = "".join(json.dumps({"step": 3, "epoch": epoch}) + "\n" for epoch in (1, 2))
    (tmp_path / "1" / "metrics.jsonl").write_text(lines)
    assert engine._share(tmp_path, run) == 0.25
    (tmp_path / "1" / "metrics.jsonl").write_text(lines + '{"step": 5, "ep')
    assert engine._share(tmp_path, run) == 0.25
    (tmp_path / "1" / "config.yaml").write_text("schedule: {epochs: 10}\n")
    assert engine._share(tmp_path, Run({"x": 1}, {})) == 0.2  # how many epochs was left to the data
    (tmp_path / "1" / "metrics.jsonl").write_text("no line of metrics\n")
    assert engine._share(tmp_path, run) == 0
    (tmp_path / "1" / "report.json").write_text("{}")
    assert engine._share(tmp_path, run) == 1


def test_a_study_under_way_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.0)
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="under way in another process"):
            perform(RUNS, tmp_path)


def test_several_at_once_share_the_machine():
    assert engine._share_of_machine(0, jobs=1, gpus=["0", "1"]) == {"OMP_NUM_THREADS": "1"}
    assert engine._share_of_machine(3, jobs=4, gpus=["0"]) == {"OMP_NUM_THREADS": "1"}
    assert engine._share_of_machine(3, jobs=4, gpus=["2", "5"])["CUDA_VISIBLE_DEVICES"] == "5"


def test_the_time_left_follows_from_the_pace():
    assert progress.seconds_left(2, 6, elapsed=10) == 30
    assert progress.seconds_left(0, 6, elapsed=10) is None
    assert progress.in_words(45) == "about 45 seconds left"
    assert progress.in_words(600) == "about 10 minutes left"
    assert progress.in_words(9000) == "about 2.5 hours left"
