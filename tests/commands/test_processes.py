"""The command line under torchrun: two processes share the work, or one line says why not.

Figures are compared as figures: two processors need not give vectors of the same bits.
"""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import torch
from accelerate.state import PartialState

from reseen import checkpoint
from reseen.cli import COMMANDS, SHARED, main
from reseen.embedding.parts import open_embeddings
from reseen.studies import summaries
from tests.commands.test_verbs import TINY, failing, run, table  # noqa: F401  (fixtures)
from tests.training.test_resume import in_child

LAUNCHED = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "CUDA_VISIBLE_DEVICES": ""}


def on_two(folder, *arguments, status=0):
    """Run a verb in two processes with what torchrun tells them; return what each printed: output and errors."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    folder.mkdir(exist_ok=True)

    def work(rank):
        os.environ |= {**LAUNCHED, "MASTER_PORT": port, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        PartialState._reset_state()
        for number, name in ((1, "out"), (2, "err")):
            file = (folder / f"{name}{rank}").open("w", buffering=1)
            os.dup2(file.fileno(), number)
            setattr(sys, f"std{name}", file)
        main([str(argument) for argument in arguments])

    children = [in_child(lambda rank=rank: work(rank)) for rank in range(2)]
    for child in children:
        child.join(120)
    said = [[(folder / f"{name}{rank}").read_text() for name in ("out", "err")] for rank in range(2)]
    assert [child.exitcode for child in children] == [status, status], said
    return said


def figures(folder):
    report = json.loads((folder / "report.json").read_text())
    return {k: report[k] for k in ("mean_ap", "mean_inp", "cmc", "num_queries", "num_skipped")}


def same_figures(one, other):
    assert one["num_queries"] == other["num_queries"]
    for name in ("mean_ap", "mean_inp", "cmc"):
        assert one[name] == pytest.approx(other[name], abs=1e-6)


@pytest.fixture(scope="module")
def trained_by_two(table, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("two")
    out = folder / "run"
    said = on_two(folder, "train", "--data", "Table", "--data.path", table, "--out", out, *TINY)
    return out, said


def test_train_is_one_run_of_two_processes(trained_by_two):
    out, ((first, _), (second, _)) = trained_by_two
    assert first.count("trained in") == 1
    assert first.count("epoch 0: mAP") == 1
    assert second == ""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert sum("mean_ap" in line for line in lines) == 2  # before the first step and at the end, once each
    assert (out / "report.json").is_file()
    assert len(open_state(out)["random"]) == 2


def open_state(out):
    return torch.load(out / "state" / "last.pt", weights_only=True)


def test_the_figures_of_two_are_those_of_one(trained_by_two, tmp_path):
    out, _ = trained_by_two
    main(["evaluate", str(out), "--out", str(tmp_path)])
    same_figures(figures(tmp_path), figures(out))


def test_evaluate_is_divided(run, table, tmp_path):  # noqa: F811
    """In unequal parts: 8 queries in batches of 3 make one part of 6 and one of 2."""
    for more in ([], ["--reranking", "average_query_expansion"]):
        alone, both = tmp_path / f"alone{len(more)}", tmp_path / f"both{len(more)}"
        main(["evaluate", str(run), "--out", str(alone), *more])
        (first, _), (second, _) = on_two(tmp_path, "evaluate", run, "--out", both, "--batch_size", "3", *more)
        assert first.count("mAP ") == 1
        assert second == ""
        same_figures(figures(both), figures(alone))
        assert (both / "per_query.csv").read_text().count("\n") == 9


def test_embed_is_divided(run, table, tmp_path):  # noqa: F811
    words = ["embed", run, "--pictures", table.parent, "--out", tmp_path / "pictures"]
    (first, _), (second, _) = on_two(tmp_path, *words)
    assert (first.count("float32 in"), second) == (1, "")
    (first, _), (second, _) = on_two(tmp_path, "embed", run, "--out", tmp_path / "both")
    assert first.count("float32 in") == 2
    assert second == ""
    main(["embed", str(run), "--out", str(tmp_path / "alone")])
    for part in ("query", "gallery"):
        alone, both = (open_embeddings(tmp_path / how / part) for how in ("alone", "both"))
        assert list(alone.paths) == list(both.paths)
        np.testing.assert_allclose(both.vectors.numpy(), alone.vectors.numpy(), atol=1e-5)


@pytest.mark.parametrize("verb", [["index", "g"], ["search", "g", "p.png"], ["report", "r"], ["study", "losses"]])
def test_other_verbs_refuse(verb, tmp_path):
    for out, errors in on_two(tmp_path, *verb, status=2):
        assert out == ""
        assert errors == (
            f"reseen: expected one process for reseen {' '.join(verb[: 2 if verb[0] == 'study' else 1])}, got 2; start "
            "it without torchrun, accelerate or mpirun, which are for train, evaluate, embed\n"
        )


VERBS = [[verb] for verb in COMMANDS if verb not in (*SHARED, "study")] + [["study", name] for name in summaries()]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_other_verb_refuses_before_anything_else(verb, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SystemExit) as stopped:
        main([*verb, "--no_such_flag", "1"])
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"reseen: expected one process for reseen {' '.join(verb)}, got 2; start it without")
    assert said.err.count("\n") == 1


def test_an_error_of_the_first_ends_both_with_a_line(trained_by_two, table, tmp_path):  # noqa: F811
    out, _ = trained_by_two
    before = (out / "last.safetensors").read_bytes()
    for _, errors in on_two(tmp_path, "train", "--data", "Table", "--data.path", table, "--out", out, *TINY, status=1):
        assert f"reseen: expected a new folder for the run, found {out} in use" in errors
        assert "Traceback" not in errors
    assert (out / "last.safetensors").read_bytes() == before


def test_accelerate_that_starts_one_of_two_is_said(tmp_path, monkeypatch, capsys):
    for name, value in {"ACCELERATE_USE_CPU": "True", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)
    status, line = failing(capsys, "train", "--data", "Synthetic", "--out", tmp_path)
    assert status == 1
    assert "expected the processes that accelerate launch was asked for, found one alone" in line
    assert "unless it is told --multi_gpu" in line


def test_more_processes_than_gpus_are_refused(tmp_path, monkeypatch, capsys):
    for name, value in {**LAUNCHED, "RANK": "0", "LOCAL_RANK": "0", "CUDA_VISIBLE_DEVICES": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    status, line = failing(capsys, "train", "--data", "Synthetic", "--out", tmp_path)
    assert status == 1
    assert "expected a GPU for each of the 2 processes of this machine, found 1" in line


LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
    # On a CPU, accelerate starts several processes only if it is told that they are for GPUs.
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAUNCHERS)
def test_the_launchers_themselves(name, table, tmp_path):  # noqa: F811
    launcher = [sys.executable, "-m", *LAUNCHERS[name]]
    words = ["train", "--data", "Table", "--data.path", table, "--out", tmp_path / "run", *TINY]
    alone = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "WORLD_SIZE")}
    subprocess.run(
        [*launcher, "-m", "reseen", *words], env={**alone, "CUDA_VISIBLE_DEVICES": ""}, check=True, timeout=300
    )
    assert checkpoint.describe(tmp_path / "run" / "last.safetensors").provenance["epoch"] == 2
    assert len(open_state(tmp_path / "run")["random"]) == 2
