"""``reseen report RUN``."""

from pathlib import Path

from reseen.cli.runs import FunctionPath, data_of, model_of
from reseen.commands.evaluate import RerankingName, reranking_of
from reseen.errors import RunError
from reseen.model_evaluation import evaluate_model
from reseen.reporting import write_report
from reseen.terminal import Terminal
from reseen.types import Benchmark


def report(
    run: Path,
    /,
    *,
    data: Benchmark | None = None,
    out: Path | None = None,
    reranking: RerankingName | FunctionPath | None = None,
    lists: int = 6,
    batch_size: int = 64,
    workers: int = 0,
    force: bool = False,
) -> None:
    """Write one HTML page about a run: scores, curves, the best and the worst queries with what was found for them.

    The page holds its pictures and charts in itself: it can be sent to somebody, and needs no network.

    Args:
        run: The folder of a run, or a checkpoint file.
        data: The data set to search; the run's own if not given.
        out: The page; report.html in the run's folder if not given.
        reranking: Re-ranking or expansion to apply first; package.function for one of your own, as in `evaluate`.
        lists: How many of the worst and how many of the best queries to show.
        batch_size: Pictures at a time.
        workers: Processes that read pictures.
        force: Write over a page of that name that is there; report.html in the run's folder is always made anew.

    Raises:
        RunError: There is a page already at `out`.
    """
    if out is not None and out.exists() and not force:
        raise RunError(f"expected a new page at {out}, found a file; name another, or say --force true")
    model = model_of(run)
    benchmark = data_of(run) if data is None else data
    improve = reranking_of(reranking)
    outcome = evaluate_model(
        model, benchmark, reranking=improve, batch_size=batch_size, num_workers=workers, progress=True
    )
    folder = run if run.is_dir() else run.parent
    path = write_report(outcome, out or folder / "report.html", benchmark=benchmark, run=run, model=model, lists=lists)
    Terminal().print(f"report: {path}")
