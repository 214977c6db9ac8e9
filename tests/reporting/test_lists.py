from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.reporting.reading import Page

from reseen.evaluation import evaluate
from reseen.protocols import any_view, cross_camera
from reseen.reporting import Outcome, Section, ranked_pictures, render_lists, write_page
from reseen.reporting.lists import worst_and_best
from reseen.types import Benchmark, Embeddings, Sample, Trial


def by_hand(outcome: Outcome, benchmark: Benchmark, row: int) -> list[tuple[float, Sample, bool]]:
    """Return the whole ranked list of a query under cross_camera, by a sort of plain numbers."""
    query = benchmark.query[row]
    vector = outcome.query.vectors[row].double().numpy()
    scored = []
    for sample, other in zip(benchmark.gallery, outcome.gallery.vectors.double().numpy(), strict=True):
        right = sample.identity == query.identity
        if not (right and sample.camera == query.camera):
            scored.append((float(vector @ other / np.linalg.norm(vector) / np.linalg.norm(other)), sample, right))
    return sorted(scored, key=lambda place: -place[0])


def test_frames_say_who_is_right(outcome: Outcome, benchmark: Benchmark, tmp_path: Path) -> None:
    queries = [0, 5, 11]
    lists = ranked_pictures(outcome, benchmark, queries, top=4)
    page = Page(write_page(tmp_path / "page.html", "t", sections=[Section("l", render_lists(lists))]))
    page.assert_self_contained()
    shots = iter(page.shots)
    for row in queries:
        assert next(shots).kinds == {"shot", "query"}
        places = by_hand(outcome, benchmark, row)
        for place, (score, sample, right) in enumerate(places[:4], 1):
            shot, verdict = next(shots), "right" if right else "wrong"
            assert shot.kinds == {"shot", verdict}
            assert shot.alt == (
                f"rank {place}, {verdict}: identity {sample.identity}, camera {sample.camera}, score {score:.2f}"
            )
            assert ("✓" if right else "✗") in shot.text
            assert f"{score:.2f}" in shot.text
            assert f"cam {sample.camera}" in shot.text
        if not any(right for _, _, right in places[:4]):
            rank = 1 + [right for _, _, right in places].index(True)
            missed = next(shots)
            assert missed.kinds == {"shot", "right", "missed"}
            assert f"rank {rank} " in missed.text
            assert places[rank - 1][1].path in page.source
    assert next(shots, None) is None
    assert any(one.missed for one in lists), "no query of this test misses its match"
    assert any(not one.missed for one in lists)


def test_facts_are_the_reports(outcome: Outcome, benchmark: Benchmark) -> None:
    (one,) = ranked_pictures(outcome, benchmark, [3], top=4)
    figures = outcome.report.per_query.set_index("query").loc[3]
    hits = sum(right for _, _, right in by_hand(outcome, benchmark, 3)[:4])
    assert one.facts == (
        f"AP {100 * figures.average_precision:.1f}",
        f"first match at rank {figures.first_rank:.0f}",
        f"{hits} of 2 matches in the first 4",
    )


def test_the_worst_and_the_best_are_found_once_each(outcome: Outcome) -> None:
    worst, best = worst_and_best(outcome.report, 5)
    table = outcome.report.per_query.set_index("query")
    precisions = table["average_precision"]
    assert precisions[worst[0]] == precisions.min()
    assert precisions[best[0]] == precisions.max()
    assert precisions[worst].is_monotonic_increasing
    assert precisions[best].is_monotonic_decreasing
    assert not set(worst) & set(best)
    assert table["identity"][worst].is_unique
    assert table["identity"][best].is_unique


def test_a_query_left_out_is_not_shown(
    benchmark: Benchmark, draw_sample: Callable[..., Sample], search: Callable[..., Outcome]
) -> None:
    lonely = Benchmark("b", (), (*benchmark.query, draw_sample("nobody", 1, 0)), benchmark.gallery, cross_camera)
    outcome = search(lonely)
    assert outcome.report.num_skipped == 1
    worst, best = worst_and_best(outcome.report, 100)
    assert len(benchmark.query) not in [*worst, *best]


def test_a_small_gallery_gives_a_short_list(outcome: Outcome, benchmark: Benchmark) -> None:
    (one,) = ranked_pictures(outcome, benchmark, [0], top=500)
    assert len(one.found) == len(by_hand(outcome, benchmark, 0)) < 500


def test_modalities_are_told_where_they_differ(
    benchmark: Benchmark, draw_sample: Callable[..., Sample], search: Callable[..., Outcome]
) -> None:
    infrared = tuple(draw_sample(s.identity, 3, 0, modality="infrared") for s in benchmark.query)
    visible = tuple(draw_sample(s.identity, s.camera, 1, modality="visible") for s in benchmark.gallery)
    across = Benchmark("b", (), infrared, visible, any_view)
    (one,) = ranked_pictures(search(across), across, [0], top=2)
    assert one.query.lines == ("query", "cam 3", "infrared")
    assert one.found[0].lines[2] == "visible"
    (one,) = ranked_pictures(search(benchmark), benchmark, [0], top=1)
    assert len(one.found[0].lines) == 2


def test_pictures_without_camera_are_shown_without(
    benchmark: Benchmark, draw_sample: Callable[..., Sample], search: Callable[..., Outcome]
) -> None:
    query, gallery = (
        tuple(Sample(s.path, s.identity, draw=s.draw) for s in part) for part in (benchmark.query, benchmark.gallery)
    )
    blind = Benchmark("b", (), query, gallery, any_view)
    (one,) = ranked_pictures(search(blind), blind, [0], top=1)
    assert one.title == "identity 1"
    assert len(one.found[0].lines) == 1


def test_a_picture_that_has_gone_leaves_an_empty_frame(
    benchmark: Benchmark, search: Callable[..., Outcome], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Sample(str(tmp_path / "gone.jpg"), 1, 1)
    broken = Benchmark("b", (), (gone, *benchmark.query[1:]), benchmark.gallery, cross_camera)
    lists = ranked_pictures(search(broken), broken, [0], top=2)
    page = Page(write_page(tmp_path / "page.html", "t", sections=[Section("l", render_lists(lists))]))
    assert page.shots[0].alt == "query: identity 1, camera 1 (no picture)"
    assert "gone.jpg" in caplog.text


def test_under_repeats_the_first_is_shown(benchmark: Benchmark, outcome: Outcome) -> None:
    """Of a repeat that searches in every second gallery picture, only those are shown, and rightly named."""

    def trials(query: Embeddings, gallery: Embeddings) -> list[Trial]:
        half = np.arange(1, len(gallery), 2)
        return [Trial(np.array([4, 2]), half), Trial(np.arange(len(query)), np.arange(len(gallery)))]

    repeated = Benchmark("b", (), benchmark.query, benchmark.gallery, cross_camera(trials=trials))
    twice = Outcome(evaluate(outcome.query, outcome.gallery, repeated.protocol), outcome.query, outcome.gallery)
    (one,) = ranked_pictures(twice, repeated, [2], top=3)
    half = {s.path for s in benchmark.gallery[1::2]}
    expected = [sample.path for _, sample, _ in by_hand(outcome, benchmark, 2) if sample.path in half][:3]
    assert [shot.source for shot in one.found] == expected
    worst, best = worst_and_best(twice.report, 9)
    assert sorted([*worst, *best]) == [2, 4]
