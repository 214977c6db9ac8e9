"""Many trainings, several at once, that survive being stopped.

A run is a folder; it is done when its ``report.json`` is there. A study that is started again therefore does what is
missing and goes on with what was interrupted. Its CSV depends on the results alone, not on when they were made.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from reseen.checkpoint import write_atomically
from reseen.errors import RunError

PARENT_DIED = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Run:
    """One training with its evaluation.

    Attributes:
        conditions: What sets it apart from the study's other runs; the first columns of the CSV.
        settings: What ``reseen train --config`` takes.
    """

    conditions: Mapping[str, str | int | float]
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of its folder, made of the conditions."""
        return "-".join(re.sub(r"[^\w.+]+", "_", f"{value}") for value in self.conditions.values())


def perform(runs: Sequence[Run], out: Path, *, jobs: int = 1) -> pd.DataFrame:
    """Do all runs that are not done yet, and return what all of them found.

    Args:
        runs: With names of their own.
        out: The study's folder; a run's is ``out/runs/NAME``, what it printed is ``out/runs/NAME.log``.
        jobs: How many at once.

    Returns:
        One row per run, in the order given: its conditions, ``mean_ap``, ``mean_inp``, ``rank_1``, ``rank_5``,
        ``num_queries``; also written to ``out/results.csv``.

    Raises:
        RunError: A run failed, or a folder holds a run with other settings; the others are done all the same.
    """
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(
            f"expected runs with names of their own, got {sorted({n for n in names if names.count(n) > 1})}"
        )
    folder = out / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    waiting = [run for run in runs if not _done(folder / run.name, _prepare(folder, run))]
    active: dict[str, subprocess.Popen[bytes]] = {}
    failed: list[str] = []
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        console=Console(stderr=True),
    )
    with bar:
        task = bar.add_task("runs", total=len(runs), completed=len(runs) - len(waiting))
        try:
            while waiting or active:
                while waiting and len(active) < jobs:
                    run = waiting.pop(0)
                    active[run.name] = _start(folder, run.name, alone=jobs == 1)
                for name, process in list(active.items()):
                    if process.poll() is not None:
                        del active[name]
                        failed += [name] if process.returncode else []
                        bar.advance(task)
                bar.update(task, description=", ".join(active) or "runs")
                time.sleep(0.2)
        finally:
            for process in active.values():
                process.send_signal(signal.SIGINT)
            for process in active.values():
                process.wait()
    if failed:
        raise RunError(
            f"expected every run to finish, {len(failed)} of {len(runs)} failed: {', '.join(failed)}; "
            f"see {folder / failed[0]}.log, then start the study again: what is done stays"
        )
    results: pd.DataFrame = pd.DataFrame([{**run.conditions, **_figures(folder / run.name)} for run in runs])
    write_atomically(out / "results.csv", results.to_csv(index=False).encode())
    return results


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with changes, group by group; a class with its arguments is replaced as a whole."""
    result: dict[str, Any] = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        grouped = isinstance(value, Mapping) and isinstance(old, Mapping) and "class_path" not in value
        result[key] = merged(old, value) if grouped else value  # type: ignore[arg-type]
    return result


def per_query(out: Path, run: Run) -> pd.DataFrame:
    """Return the table of a finished run's queries."""
    table: pd.DataFrame = pd.read_csv(out / "runs" / run.name / "per_query.csv")
    return table


def seconds_of(out: Path, run: Run) -> float:
    """Return how long a finished run trained."""
    return float(_report(out / "runs" / run.name)["training_seconds"])


def _prepare(folder: Path, run: Run) -> Path:
    """Write a run's settings beside its folder, and see that the folder was not made with others."""
    path = folder / f"{run.name}.yaml"
    text = yaml.safe_dump(json.loads(json.dumps(dict(run.settings))), sort_keys=False)
    if path.exists() and path.read_text() != text and (folder / run.name).exists():
        raise RunError(
            f"expected {folder / run.name} to be a run with the settings of this study, found other settings; "
            "choose another --out, or remove the folder"
        )
    write_atomically(path, text.encode())
    return path


def _done(folder: Path, config: Path) -> bool:
    return (folder / "report.json").is_file() and config.is_file()


def _start(folder: Path, name: str, *, alone: bool) -> subprocess.Popen[bytes]:
    command = [
        sys.executable,
        "-m",
        "reseen.cli",
        "train",
        "--config",
        f"{folder / name}.yaml",
        "--out",
        f"{folder / name}",
    ]
    if (folder / name).exists():
        command += ["--resume", "true"]
    # Several trainings on one machine: threads of one would take the cores of another.
    environment = {**os.environ} if alone else {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder / f"{name}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment, preexec_fn=_end_with_parent)


def _end_with_parent() -> None:
    """Have the kernel end this process when the study is killed, lest two trainings write one run after a restart."""
    os.setpgid(0, 0)  # Ctrl-C reaches the study, which passes it on once.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGKILL)


def _report(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def _figures(folder: Path) -> dict[str, float]:
    report = _report(folder)
    return {
        "mean_ap": report["mean_ap"],
        "mean_inp": report["mean_inp"],
        "rank_1": report["cmc"][0],
        "rank_5": report["cmc"][4],
        "num_queries": report["num_queries"],
    }
