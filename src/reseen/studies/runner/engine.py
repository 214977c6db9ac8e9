"""Runner of many trainings: several at once, resumable.

A run is a folder; it is done when its ``report.json`` is there. A study that is started again therefore does what is
missing and goes on with what was interrupted. Its CSV depends on the results alone, not on when they were made.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from reseen.errors import RunError
from reseen.files import write_atomically
from reseen.model_evaluation import read_results
from reseen.parallel import keep_threads, take_idle_cores
from reseen.studies.results.table import write_csv
from reseen.studies.runner.progress import StudyProgress

PARENT_DIED = 1  # PR_SET_PDEATHSIG
PATIENCE_SECONDS = 10.0
EVALUATION = 0.1  # of the work of a training, roughly


@dataclass(frozen=True)
class Run:
    """One training with its evaluation, or the evaluation of a model on other data.

    Attributes:
        conditions: What sets it apart from the study's other runs; the first columns of the CSV.
        settings: What ``reseen train --config`` takes, or with ``model`` what ``reseen evaluate --config`` takes.
        model: Evaluate this model instead of training one: the name of another run of the study, which is then waited
            for, or the folder of a run made elsewhere.
    """

    conditions: Mapping[str, str | int | float]
    settings: Mapping[str, Any]
    model: str | None = None

    @property
    def name(self) -> str:
        """The name of its folder, made of the conditions."""
        return "-".join(re.sub(r"[^\w.+]+", "_", f"{value}") for value in self.conditions.values())

    def command(self, folder: Path) -> list[str]:
        """Return the words that do it, for a study whose runs lie in ``folder``."""
        files = ["--config", f"{folder / self.name}.yaml", "--out", f"{folder / self.name}"]
        if self.model is None:
            return ["train", *files]
        own = folder / self.model
        return ["evaluate", str(own if own.exists() else self.model), *files]


def perform(runs: Sequence[Run], out: Path, *, jobs: int = 1) -> pd.DataFrame:
    """Do all runs that are not done yet, and return what all of them found.

    Args:
        runs: With names of their own.
        out: The study's folder; a run's is ``out/runs/NAME``, what it printed is ``out/runs/NAME.log``.
        jobs: How many at once; where there are several GPUs, each gets its share.

    Returns:
        One row per run, in the order given: its conditions, ``mean_ap``, ``mean_inp``, ``rank_1``, ``rank_5``,
        ``num_queries``; also written to ``out/results.csv``.

    Raises:
        RunError: A run failed, a folder holds a run with other settings, or the study is under way elsewhere; where a
            run failed the others are done all the same, and ``out/results.csv`` has what they found.
    """
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(
            f"expected runs with names of their own, got {sorted({n for n in names if names.count(n) > 1})}"
        )
    folder = out / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(out / "lock") as lock:
        take_idle_cores()
        keep_threads(out / "threads")
        for run in runs:
            _prepare(folder, run)
        failed = _do([run for run in runs if not _done(folder / run.name)], runs, folder, jobs=jobs, lock=lock)
    done = [run for run in runs if run.name not in failed]
    results: pd.DataFrame = pd.DataFrame([{**run.conditions, **_figures(folder / run.name)} for run in done])
    if done:
        write_csv(results, out / "results.csv")
    if failed:
        raise RunError(
            f"expected every run to finish, {len(failed)} of {len(runs)} failed: {', '.join(failed)}; "
            f"see {folder / failed[0]}.log, then start the study again, or leave out what cannot finish: what is done "
            f"stays{f', and stands in {out}/results.csv' if done else ''}"
        )
    return results


def commands(out: Path, runs: Sequence[Run]) -> list[str]:
    """Return what to type to do each run by itself."""
    return [shlex.join(["reseen", *run.command(out / "runs")]) for run in runs]


def _do(waiting: list[Run], runs: Sequence[Run], folder: Path, *, jobs: int, lock: int) -> list[str]:
    """Do the runs that wait, and return the names of those that failed."""
    active: dict[int, tuple[Run, subprocess.Popen[bytes]]] = {}
    failed: list[str] = []
    work = sum(_work(run) for run in runs)
    with StudyProgress(runs=len(runs), work=work, done=_done_of(runs, folder)) as progress:
        try:
            while waiting or active:
                for slot in set(range(jobs)) - set(active):
                    if run := _next(waiting, [other for other, _ in active.values()], failed):
                        active[slot] = (run, _start(folder, run, slot=slot, jobs=jobs, lock=lock))
                for slot, (run, process) in list(active.items()):
                    if process.poll() is not None:
                        del active[slot]
                        failed += [run.name] if process.returncode else []
                finished = len(runs) - len(waiting) - len(active) - len(failed)
                done = _done_of(runs, folder)
                progress.show(finished=finished, done=done, active=[run.name for run, _ in active.values()])
                time.sleep(0.1)
        finally:
            for _, process in active.values():
                process.send_signal(signal.SIGINT)
            for _, process in active.values():
                process.wait()
    return failed


def _next(waiting: list[Run], active: Sequence[Run], failed: list[str]) -> Run | None:
    """Take the first run whose model is there out of those that wait; one whose model failed fails too."""
    for run in [run for run in waiting if run.model in failed]:
        waiting.remove(run)
        failed.append(run.name)
    missing = {run.name for run in (*waiting, *active)}
    ready = next((run for run in waiting if run.model not in missing), None)
    if ready is not None:
        waiting.remove(ready)
    return ready


def _prepare(folder: Path, run: Run) -> None:
    """Write a run's settings beside its folder, and see that the folder was not made with others."""
    path = folder / f"{run.name}.yaml"
    settings = json.loads(json.dumps(dict(run.settings)))
    made_with = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    if (folder / run.name).exists() and made_with != settings:
        raise RunError(
            f"expected {folder / run.name} to be a run with the settings of this study, found other settings; "
            "choose another --out, or remove the folder"
        )
    if made_with != settings:
        write_atomically(path, yaml.safe_dump(settings, sort_keys=False).encode())


def _start(folder: Path, run: Run, *, slot: int, jobs: int, lock: int) -> subprocess.Popen[bytes]:
    own = folder / run.name
    words = run.command(folder)
    if (own / "config.yaml").exists():
        words += ["--resume", "true"]
    elif own.exists():  # Killed before it wrote what it is: nothing in there is worth keeping.
        shutil.rmtree(own)
    with (folder / f"{run.name}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "reseen", *words],
            stdout=log,
            stderr=log,
            env={**os.environ, **_share_of_machine(slot, jobs=jobs, gpus=_gpus())},
            preexec_fn=_end_with_parent,
            pass_fds=[lock],
        )


def _share_of_machine(slot: int, *, jobs: int, gpus: Sequence[str]) -> dict[str, str]:
    """Return the environment of a process: one thread, and a GPU of its own, where others run beside it."""
    if jobs == 1:
        return {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    # Threads of one training would take the cores of another.
    return {"OMP_NUM_THREADS": "1"} | ({"CUDA_VISIBLE_DEVICES": gpus[slot % len(gpus)]} if len(gpus) > 1 else {})


def _gpus() -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(n) for n in range(torch.cuda.device_count())]


def _end_with_parent() -> None:
    """Have the kernel end this process when the study is killed, lest two trainings write one run after a restart."""
    os.setpgid(0, 0)  # Ctrl-C reaches the study, which passes it on once ...
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ... also where a shell started it in the background.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGKILL)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Hold a study's lock; its runs hold it too, so that it is free once all of them have ended.

    Raises:
        RunError: Somebody else has it, and keeps it.
    """
    with path.open("a") as file:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() > until:
                    raise RunError(
                        f"expected {path.parent} for this study alone, found it under way in another process; "
                        "wait for it, stop it, or choose another --out"
                    ) from error
                time.sleep(0.1)
        yield file.fileno()


def _done(folder: Path) -> bool:
    return (folder / "report.json").is_file()


def _work(run: Run) -> float:
    return 1.0 if run.model is None else EVALUATION


def _done_of(runs: Sequence[Run], folder: Path) -> float:
    return sum(_work(run) * _share(folder, run) for run in runs)


def _share(folder: Path, run: Run) -> float:
    """Return how much of a run is done, from 0 to 1."""
    own = folder / run.name
    if _done(own):
        return 1.0
    try:
        epochs = (run.settings.get("schedule") or {}).get("epochs")
        if epochs is None:  # left to the data: the run has written how many
            epochs = yaml.safe_load((own / "config.yaml").read_text(encoding="utf-8"))["schedule"]["epochs"]
        with (own / "metrics.jsonl").open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            whole_lines = file.read().rpartition(b"\n")[0]
            return min(float(json.loads(whole_lines.splitlines()[-1])["epoch"] / epochs), 1.0)
    except (OSError, LookupError, ValueError, TypeError):
        return 0.0  # not begun, or damaged


def _figures(folder: Path) -> dict[str, float]:
    report, _ = read_results(folder)
    return {
        "mean_ap": report["mean_ap"],
        "mean_inp": report["mean_inp"],
        "rank_1": report["cmc"][0],
        "rank_5": report["cmc"][4],
        "num_queries": report["num_queries"],
    }
