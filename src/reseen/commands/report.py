"""``reseen report RUN``."""

from pathlib import Path

from reseen.cli.runs import FunctionPath, data_of, model_of
from reseen.commands.evaluate import RerankingName, reranking_of
from reseen.errors import RunError
from reseen.files import require_new
from reseen.model_evaluation import evaluate_model
from reseen.reporting import write_comparison, write_report
from reseen.terminal import Terminal
from reseen.types import Benchmark


def report(
    run: Path,
    other: Path | None = None,
    /,
    *,
    data: Benchmark | None = None,
    out: Path | None = None,
    title: str | None = None,
    reranking: RerankingName | FunctionPath | None = None,
    lists: int = 6,
    batch_size: int = 64,
    workers: int = 0,
    force: bool = False,
) -> None:
    """Write one HTML page about a run, or one that compares two: scores, curves, queries with what was found for them.

    The page holds its pictures and charts in itself: it can be sent to somebody, and needs no network.

    Args:
        run: The folder of a run, or a checkpoint file.
        other: A second run: the page shows both side by side, and the queries where they differ most.
        data: The data set to search; the run's own if not given.
        out: The page; if not given, report.html in the run's folder, or comparison.html in the second run's.
        title: Title of the page; if not given, the data's name, or those of the two runs.
        reranking: Re-ranking or expansion to apply first; package.function for one of your own, as in `evaluate`.
        lists: How many of the worst and how many of the best queries to show; of two runs, how many where the one is
            better and how many where the other is.
        batch_size: Pictures at a time.
        workers: Processes that read pictures.
        force: Replace a page that is there; the page in the run's own folder is always made anew.

    Raises:
        WriteError: There is a page already at `out`.
    """
    require_new(out, force=force)
    runs = [run] if other is None else [run, other]
    models = [model_of(each) for each in runs]
    benchmark = data_of(run) if data is None else data
    improve = reranking_of(reranking)
    outcomes = [
        evaluate_model(model, benchmark, reranking=improve, batch_size=batch_size, num_workers=workers, progress=True)
        for model in models
    ]
    folder = runs[-1] if runs[-1].is_dir() else runs[-1].parent
    if other is None:
        path = out or folder / "report.html"
        write_report(outcomes[0], path, benchmark=benchmark, run=run, model=models[0], lists=lists, title=title)
    else:
        path = out or folder / "comparison.html"
        compared = dict(zip(distinct_names(run, other), outcomes, strict=True))
        write_comparison(compared, path, benchmark=benchmark, lists=lists, title=title)
    Terminal().print(f"report: {path}")


def distinct_names(*paths: Path) -> list[str]:
    """Return the shortest ends of paths that tell them apart.

    Raises:
        RunError: They are the same.
    """
    parts = [path.absolute().parts for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise RunError(f"expected two runs to compare, got {paths[0]} twice; name another one")
