import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.reporting.reading import Page

from reseen import checkpoint
from reseen.evaluation import evaluate
from reseen.evaluation.reranking import average_query_expansion
from reseen.models import Embedder, ModelSpec
from reseen.protocols import any_view, cross_camera
from reseen.reporting import Outcome, write_report
from reseen.types import Benchmark, Sample


def test_the_page_says_what_the_report_says(outcome: Outcome, benchmark: Benchmark, tmp_path: Path) -> None:
    page = Page(write_report(outcome, tmp_path / "report.html", benchmark=benchmark))
    page.assert_self_contained()
    report = outcome.report
    expected = {"mAP": report.mean_ap, "mINP": report.mean_inp} | {f"rank {n}": report.cmc(n) for n in (1, 5, 10)}
    for name, value in expected.items():
        assert page.words[page.words.index(name) + 1] == f"{100 * value:.1f}", name
    assert page.words[page.words.index("queries") + 1] == str(report.num_queries)
    low, high = report.interval
    assert f"{100 * low:.1f} to {100 * high:.1f} with 95 % confidence" in page.words
    assert f"Protocol {report.protocol}: {report.rule}." in page.words
    assert page.headings[0] == "Drawn"


def test_sections_stand_only_where_there_is_something_to_show(
    outcome: Outcome, benchmark: Benchmark, tmp_path: Path
) -> None:
    page = Page(write_report(outcome, tmp_path / "report.html", benchmark=benchmark, run=tmp_path / "no run"))
    assert "Training" not in page.headings
    assert "What the network compares" not in page.headings
    assert "Cameras" in page.headings
    assert len(page.charts) == 4


@pytest.mark.parametrize("library", ["captum", "matplotlib"])
def test_without_their_libraries_the_page_has_no_heat_maps_and_a_line_says_so(
    outcome: Outcome,
    benchmark: Benchmark,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    library: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, library, None)
    model = Embedder(ModelSpec("osnet_x0_25", 32, 16))
    page = Page(write_report(outcome, tmp_path / "report.html", benchmark=benchmark, model=model))
    assert "What the network compares" not in page.headings
    assert "What was run" in page.headings
    assert f"no heat maps in the report: expected the library {library}" in caplog.text
    assert "pip install 'reseen[attention]'" in caplog.text


def test_data_without_cameras_has_no_table_of_them(
    benchmark: Benchmark, search: Callable[..., Outcome], tmp_path: Path
) -> None:
    query, gallery = (
        tuple(Sample(s.path, s.identity, draw=s.draw) for s in part) for part in (benchmark.query, benchmark.gallery)
    )
    blind = Benchmark("Blind", (), query, gallery, any_view)
    page = Page(write_report(search(blind), tmp_path / "report.html", benchmark=blind))
    page.assert_self_contained()
    assert "Cameras" not in page.headings


def test_the_cameras_add_up(outcome: Outcome, benchmark: Benchmark, tmp_path: Path) -> None:
    page = Page(write_report(outcome, tmp_path / "report.html", benchmark=benchmark))
    start = page.words.index("rank 1", page.words.index("Cameras"))
    cells = page.words[start + 1 : start + 13]
    for row, camera in ((cells[:6], 1), (cells[6:], 2)):
        own = outcome.report.per_query[outcome.report.per_query["camera"] == camera]
        figures = own["average_precision"].mean(), (own["first_rank"] == 1).mean()
        assert row == [str(camera), "8", "8", "16", *(f"{100 * f:.1f}" for f in figures)]


def test_left_out_queries_are_counted(
    benchmark: Benchmark, draw_sample: Callable[..., Sample], search: Callable[..., Outcome], tmp_path: Path
) -> None:
    lonely = Benchmark("b", (), (*benchmark.query, draw_sample("nobody", 1, 0)), benchmark.gallery, cross_camera)
    page = Page(write_report(search(lonely), tmp_path / "report.html", benchmark=lonely))
    assert "1 left out without a match" in page.words


def test_hostile_names_stay_words(
    benchmark: Benchmark, draw_sample: Callable[..., Sample], search: Callable[..., Outcome], tmp_path: Path
) -> None:
    evil = '"><script>alert(1)</script>'
    bad = tuple(Sample(evil, evil, evil if n else "b", draw=draw_sample(1, 1, 0).draw) for n in range(2))
    hostile = Benchmark(evil, (), (bad[0],), (bad[1], *benchmark.gallery), any_view(name=evil))
    (tmp_path / "config.yaml").write_text(evil)
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1, "epoch": 1, "terms": {evil: 1.0, "b": 2}}))
    out = write_report(search(hostile), tmp_path / "r.html", benchmark=hostile, run=tmp_path, notes={evil: evil})
    page = Page(out)
    page.assert_self_contained()
    assert page.headings[0] == evil
    assert "alert(1)" in page.source


def test_a_run_adds_its_training_its_configuration_and_its_checkpoint(
    outcome: Outcome, benchmark: Benchmark, tmp_path: Path
) -> None:
    model = Embedder(ModelSpec(height=32, width=16))
    checkpoint.save(tmp_path / "last.safetensors", model, provenance={"seed": 17, "mean_ap": 0.123456789})
    checkpoint.save(tmp_path / "best.safetensors", model, provenance={"seed": 18})
    (tmp_path / "config.yaml").write_text("seed: 17\n")
    lines = [{"step": n, "epoch": n / 2, "loss": 3 / n, "learning_rate": 1e-3 / n} for n in (1, 2, 3)]
    lines.append({"step": 3, "epoch": 1.5, "mean_ap": 0.5})
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 4, "epo')
    page = Page(
        write_report(outcome, tmp_path / "report.html", benchmark=benchmark, run=tmp_path, model=model, lists=1)
    )
    page.assert_self_contained()
    assert "Training" in page.headings
    assert len(page.charts) == 7
    assert page.words[page.words.index("seed") + 1] == "17"
    assert page.words[page.words.index("mean_ap") + 1] == "0.1235"
    assert "seed: 17\n".strip() in page.words
    parameters = sum(p.numel() for p in model.parameters()) / 1e6
    assert page.words[page.words.index("parameters") + 1] == f"{parameters:.2f} million"
    assert page.words[page.words.index("model") + 1] == "osnet_x0_25, 32 x 16 pixels"
    assert "What the network compares" in page.headings
    of_best = tmp_path / "best.safetensors"
    page = Page(write_report(outcome, tmp_path / "report.html", benchmark=benchmark, run=of_best, lists=1))
    assert page.words[page.words.index("seed") + 1] == "18"
    assert "Training" in page.headings


def test_a_page_does_not_grow_with_the_queries(
    draw_sample: Callable[..., Sample], search: Callable[..., Outcome], tmp_path: Path
) -> None:
    sizes = []
    for shots in (4, 60):
        samples = [draw_sample(i, c, n) for i in range(1, 9) for c in (1, 2) for n in range(shots)]
        half = len(samples) // 2
        data = Benchmark("b", (), tuple(samples[::2]), tuple(samples[1::2]), cross_camera)
        assert len(data.query) == half
        sizes.append(write_report(search(data), tmp_path / "report.html", benchmark=data).stat().st_size)
    assert sizes[1] < 1.2 * sizes[0]


def test_without_a_wrong_pair_there_is_no_threshold_to_draw(
    draw_sample: Callable[..., Sample], search: Callable[..., Outcome], tmp_path: Path
) -> None:
    one = Benchmark("b", (), (draw_sample(1, 1, 0),), (draw_sample(1, 2, 0), draw_sample(1, 2, 1)), cross_camera)
    page = Page(write_report(search(one), tmp_path / "report.html", benchmark=one))
    assert len(page.charts) == 2
    assert "100.0" in page.words


def test_the_threshold_chart_counts_pairs(outcome: Outcome, benchmark: Benchmark, tmp_path: Path) -> None:
    page = Page(write_report(outcome, tmp_path / "report.html", benchmark=benchmark))
    pairs = next(c for c in page.charts if "How pairs score" in c.text)
    positive, negative = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) in all", pairs.alt))
    same = sum(q.identity == g.identity for q in benchmark.query for g in benchmark.gallery)
    other = len(benchmark.query) * len(benchmark.gallery) - same
    assert negative == other
    assert positive == same / 2  # half of them are by the query's own camera


@pytest.mark.parametrize("lists", [0, 1])
def test_few_or_no_lists(outcome: Outcome, benchmark: Benchmark, tmp_path: Path, lists: int) -> None:
    page = Page(write_report(outcome, tmp_path / "report.html", benchmark=benchmark, lists=lists))
    assert sum("query" in shot.kinds for shot in page.shots) == 2 * lists


def test_re_ranking_is_told(benchmark: Benchmark, outcome: Outcome, tmp_path: Path) -> None:
    improve = average_query_expansion()
    report = evaluate(outcome.query, outcome.gallery, benchmark.protocol, reranking=improve)
    better = Outcome(report, outcome.query, outcome.gallery, improve)
    page = Page(write_report(better, tmp_path / "report.html", benchmark=benchmark))
    page.assert_self_contained()
    assert any("Re-ranked" in words for words in page.words)
    assert f"{100 * report.mean_ap:.1f}" in page.words
