"""``reseen evaluate RUN``."""

import importlib
import inspect
from pathlib import Path
from typing import Literal

from reseen.cli.runs import FunctionPath, data_of, model_of
from reseen.errors import RunError
from reseen.evaluation import Reranking
from reseen.files import make_folder
from reseen.launcher import is_first
from reseen.model_evaluation import Outcome, evaluate_model
from reseen.terminal import Terminal, plain_table
from reseen.trust import import_named
from reseen.types import Benchmark

WIDTH = 96  # A table of settings; a narrower terminal breaks its lines rather than its cells.
RerankingName = Literal["k_reciprocal", "average_query_expansion", "alpha_query_expansion", "database_augmentation"]


def evaluate(
    run: Path,
    /,
    *,
    data: Benchmark | None = None,
    out: Path | None = None,
    reranking: RerankingName | FunctionPath | None = None,
    mirrored: bool = False,
    batch_size: int = 64,
    workers: int = 0,
) -> None:
    """Score a trained model on a data set.

    Of a run, its last weights are scored; name RUN/best.safetensors for those that were best on its own test data.

    Prints the scores, in every setting that the data set has, and writes report.json and per_query.csv. What counts as
    a match is the data set's protocol, whose name and rule are printed; docs/protocols.md states every rule with its
    source.

    Args:
        run: The folder of a run, a checkpoint, or a name that `reseen models` lists.
        data: The data set; the run's own if not given.
        out: Folder for report.json; the run's if not given, and one with the name of a published model.
        reranking: Re-ranking or expansion to apply first; package.function for one of your own, which takes the
            embeddings of query and gallery and returns Scores, or two Embeddings.
        mirrored: Average the vectors of each picture and its mirror image.
        batch_size: Pictures at a time.
        workers: Processes that read pictures.
    """
    model = model_of(run)
    benchmark = data_of(run) if data is None else data
    outcome = evaluate_model(
        model,
        benchmark,
        reranking=reranking_of(reranking),
        batch_size=batch_size,
        num_workers=workers,
        mirrored=mirrored,
        progress=True,
    )
    if not is_first():
        return
    folder = out or (run.parent if run.is_file() else run)
    make_folder(folder)
    outcome.save(folder, data=benchmark.name, reranking=reranking, mirrored=mirrored)
    print_scores(outcome, title=benchmark.name, reranking=reranking)
    Terminal().print(f"written: {folder / 'report.json'}, {folder / 'per_query.csv'}")


def reranking_of(name: RerankingName | FunctionPath | None) -> Reranking | None:
    """Return the re-ranking of a name: one of reseen's own with its defaults, or the function ``package.function``.

    Raises:
        RunError: There is no such function.
    """
    if name is None:
        return None
    if "." not in name:
        own: Reranking = getattr(importlib.import_module("reseen.evaluation.reranking"), name)()
        return own
    try:
        function = import_named(name)
    except ImportError as error:
        raise RunError(f"expected a function package.function for --reranking, got {name[:100]}: {error}") from error
    try:
        inspect.signature(function).bind("query", "gallery")
    except (TypeError, ValueError):  # nothing to call, or not with two arguments
        raise RunError(
            f"expected a function of query and gallery for --reranking, got {name}, a {type(function).__name__}"
        ) from None
    return function  # type: ignore[no-any-return]


def print_scores(outcome: Outcome, *, title: str, reranking: str | None = None) -> None:
    """Print the figures for people."""
    report = outcome.report
    low, high = report.interval
    deviation = report.deviation or {}

    def figure(name: str, value: float) -> str:
        spread = f" ± {100 * deviation[name]:.1f}" if name in deviation else ""
        return f"{100 * value:.1f}{spread}"

    console = Terminal()
    setting = f", protocol {report.protocol}{f', {reranking}' if reranking else ''}"
    console.print(console.render_str(title, style="bold"), setting, sep="")
    console.print(
        f"  mAP {figure('mean_ap', report.mean_ap)} ({100 * low:.1f} to {100 * high:.1f} with 95 % confidence)   "
        f"mINP {figure('mean_inp', report.mean_inp)}"
    )
    console.print(
        f"  rank 1 {figure('rank_1', report.cmc(1))}   "
        f"rank 5 {100 * report.cmc(5):.1f}   rank 10 {100 * report.cmc(10):.1f}"
    )
    left_out = f", {report.num_skipped} left out without a match" if report.num_skipped else ""
    console.print(f"  {report.num_queries} queries{left_out}; {report.rule}")
    if outcome.further:
        from reseen.reporting import setting_columns, setting_rows  # Takes a while, and `train` imports this file too.

        settings = plain_table(setting_columns(), setting_rows([report, *outcome.further]))
        Terminal(width=max(console.width, WIDTH)).print(settings)
