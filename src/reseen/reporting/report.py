"""Report page of a run: configuration, scores, curves, best and worst queries."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from reseen import checkpoint
from reseen.errors import MissingLibraryError
from reseen.model_evaluation import Outcome
from reseen.models import Embedder, ModelSpec, complexity
from reseen.reporting.attention_page import HOW_TO_READ, why_found
from reseen.reporting.curves import learning_curves
from reseen.reporting.lists import RankedPictures, ranked_pictures, render_lists, worst_and_best
from reseen.reporting.page import Section, charts, facts, render, table, write_page
from reseen.reporting.scores import (
    camera_table,
    headline,
    match_curve,
    precision_spread,
    score_charts,
    setting_columns,
    setting_rows,
)
from reseen.types import Benchmark, Sample

logger = logging.getLogger(__name__)

MAX_LOOKS = 3


def write_report(
    outcome: Outcome,
    out: str | Path,
    *,
    benchmark: Benchmark,
    run: Path | None = None,
    model: Embedder | None = None,
    lists: int = 6,
    top: int = 10,
    title: str | None = None,
    notes: Mapping[str, object] | None = None,
) -> Path:
    """Write one self-contained HTML page about an evaluation and, where there is one, the run behind it.

    Args:
        outcome: The evaluation.
        out: Path of the page.
        benchmark: What was searched.
        run: The run's folder, or one of its checkpoints: adds learning curves, configuration and where the weights
            come from. Of a folder the last weights are meant; what it lacks is left out.
        model: Adds what the network costs and, with the extra ``attention``, where it looks.
        lists: How many of the worst and how many of the best queries to show.
        top: Places shown of each.
        title: Of the page; None for the data's name.
        notes: More to say of the run, name -> value, such as its command.

    Returns:
        The path written.

    Raises:
        CheckpointError: The run's checkpoint is damaged.
    """
    report = outcome.report
    worst, best = worst_and_best(report, lists)
    ranked = ranked_pictures(outcome, benchmark, [*worst, *best], top=top)
    bad, good = ranked[: len(worst)], ranked[len(worst) :]
    figures = [match_curve({"": report}), precision_spread({"": report}), *score_charts(outcome, benchmark)]
    curves = [] if run is None else learning_curves(_folder(run) / "metrics.jsonl")
    cameras = camera_table(report, benchmark)
    reranked = "" if outcome.reranking is None else " Re-ranked; how pairs score is shown as it was before."
    one_each = "average precision first; one query of an identity."
    sections = [
        Section("", headline(report)),
        _settings(outcome),
        Section("Ranking", charts(*figures), f"Protocol {report.protocol}: {report.rule}.{reranked}"),
        Section("Worst queries", render_lists(bad), f"Lowest {one_each}"),
        Section("Best queries", render_lists(good), f"Highest {one_each}") if good else None,
        None if model is None else _attention_section(model, [*bad[:MAX_LOOKS], *good[:MAX_LOOKS]]),
        None if cameras is None else Section("Cameras", cameras, "A query counts for the camera that took it."),
        Section("Training", charts(*curves)) if curves else None,
        _what_ran(benchmark, run, model, notes or {}),
        Section("How to read this page", render("guide.html")),
    ]
    lead = f"{len(benchmark.query):,} queries in a gallery of {len(benchmark.gallery):,} pictures"
    eyebrow = f"Re-identification, protocol {report.protocol}"
    return write_page(out, title or benchmark.name, sections=sections, eyebrow=eyebrow, lead=lead)


def _settings(outcome: Outcome) -> Section | None:
    if not outcome.further:
        return None
    rows = setting_rows([outcome.report, *outcome.further])
    return Section("Every setting", table(setting_columns(), rows), "The rest of this page is about the first.")


def _attention_section(model: Embedder, lists: Sequence[RankedPictures]) -> Section | None:
    pairs = [(one.sample, one.first) for one in lists if one.first is not None]
    note = f"Grad-CAM of the similarity between a query and what came first for it. {HOW_TO_READ}"
    try:
        return Section("What the network compares", why_found(model, pairs), note)
    except MissingLibraryError as error:
        logger.warning("no heat maps in the report: %s", error)
        return None


def _what_ran(benchmark: Benchmark, run: Path | None, model: Embedder | None, notes: Mapping[str, object]) -> Section:
    run_facts: dict[str, object] = {"data": benchmark.name}
    run_facts |= {name: _size(getattr(benchmark, name)) for name in ("train", "query", "gallery")}
    files = {}
    spec = None if model is None else model.spec
    if run is not None:
        if (config := _folder(run) / "config.yaml").is_file():
            files["config.yaml"] = config.read_text(encoding="utf-8", errors="replace")
        if (weights := run / "last.safetensors" if run.is_dir() else run).is_file():
            stored = checkpoint.describe(weights)
            spec = spec or stored.spec
            run_facts |= {"checkpoint": weights.name, **stored.provenance}
    if spec is not None:
        run_facts["model"] = _model(spec)
    if model is not None:
        cost = complexity(model)
        run_facts["parameters"] = f"{cost.parameters / 1e6:,.2f} million"
        run_facts["operations"] = f"{cost.flops / 2e9:,.3f} billion multiply-adds for one picture"
        run_facts["speed"] = f"{cost.images_per_second:,.0f} pictures a second here, {cost.batch} at a time"
    return Section("What was run", facts({**run_facts, **checkpoint.versions(), **notes}, files=files))


def _folder(run: Path) -> Path:
    return run.parent if run.is_file() else run


def _size(samples: Sequence[Sample]) -> str:
    if not samples:
        return "none"
    cameras = {s.camera for s in samples} - {None}
    by = f", {len(cameras):,} cameras" if cameras else ""
    return f"{len(samples):,} pictures, {len({s.identity for s in samples}):,} identities{by}"


def _model(spec: ModelSpec) -> str:
    """Return the backbone, the size of its pictures, and what else is not as usual."""
    usual = ModelSpec()
    others = {
        field.name: value
        for field in dataclasses.fields(spec)
        if field.name not in ("backbone", "height", "width")
        and (value := getattr(spec, field.name)) != getattr(usual, field.name)
    }
    options = "".join(f", {name} {value}" for name, value in others.items())
    return f"{spec.backbone}, {spec.height} x {spec.width} pixels{options}"
