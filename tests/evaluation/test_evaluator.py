"""``evaluate`` against published figures, itself on two processes, itself from a file, and bad input."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reseen.errors import DataError
from reseen.evaluation import Report, evaluate, evaluate_further
from reseen.evaluation.reranking import average_query_expansion, k_reciprocal
from reseen.protocols import any_view, cross_camera, cuhk03_classic, sysu_mm01, vehicle_id, veri_track
from reseen.types import Benchmark, Embeddings, Sample

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "ranking.json").read_text())["cases"]


def golden_case(
    *, seed: int, Q: int, G: int, D: int, ids: int, cams: int, sigma: float, distract: bool
) -> tuple[Embeddings, Embeddings]:
    """Draw what the figures in the file were computed from; see its recipe."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((ids, D))
    labels = [(generator.integers(1, ids, Q), generator.integers(0, cams, Q))]
    labels.append((generator.integers(0 if distract else 1, ids, G), generator.integers(0, cams, G)))
    sides = []
    for identities, cameras in labels:
        vectors = centres[identities] + sigma * generator.standard_normal((len(identities), D))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        sides.append(Embeddings(vectors, identities, cameras=cameras))
    return sides[0], sides[1]


def test_a_report_is_short_in_a_prompt_and_a_table_in_a_notebook() -> None:
    query, gallery = golden_case(**GOLDEN[next(iter(GOLDEN))]["args"])
    report = evaluate(query, gallery, cross_camera)
    assert repr(report).startswith(f"Report(cross_camera: mAP {100 * report.mean_ap:.1f}, rank 1 ")
    assert repr(report).endswith(f"; {report.num_queries} queries)")
    assert f"<th>mINP</th></tr></thead><tbody><tr><td>{100 * report.mean_ap:.1f}</td>" in report._repr_html_()


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("reranked", [False, True])
def test_published_evaluator(name: str, reranked: bool) -> None:
    query, gallery = golden_case(**GOLDEN[name]["args"])
    assert query.vectors.double().sum().item() == pytest.approx(GOLDEN[name]["q_sum"], abs=1e-5)
    assert gallery.vectors.double().sum().item() == pytest.approx(GOLDEN[name]["g_sum"], abs=1e-5)
    expected = GOLDEN[name]["reranked"] if reranked else GOLDEN[name]
    reranking = k_reciprocal(k1=20, k2=6, weight=0.3) if reranked else None
    report = evaluate(query, gallery, cross_camera, reranking=reranking)
    assert report.mean_ap == pytest.approx(expected["mAP"], abs=1e-6)
    assert report.mean_inp == pytest.approx(expected["mINP"], abs=1e-6)
    assert [report.cmc(rank) for rank in (1, 5, 10)] == pytest.approx(expected["cmc"], abs=1e-6)
    assert report.num_queries == GOLDEN[name]["valid_queries"]


def random_set(seed: int, num: int, *, dim: int = 16) -> Embeddings:
    generator = np.random.default_rng(seed)
    identities = generator.integers(0, 12, num)
    vectors = generator.standard_normal((12, dim))[identities] + 3 * generator.standard_normal((num, dim))
    return Embeddings(
        vectors.astype(np.float32),
        identities,
        cameras=generator.integers(1, 7, num),
        tracks=generator.integers(0, 4, num),
        paths=[f"{seed}/{i}.jpg" for i in range(num)],
    )


def test_report() -> None:
    query, gallery = random_set(0, 50), random_set(1, 200)
    query = Embeddings(query.vectors, [*query.identities[:-2], 98, 99], cameras=query.cameras, paths=query.paths)
    report = evaluate(query, gallery, cross_camera)
    assert (report.num_queries, report.num_skipped) == (48, 2)
    aps = report.per_query["average_precision"]
    assert aps.isna().tolist() == [False] * 48 + [True] * 2
    assert report.mean_ap == pytest.approx(aps.mean())
    half = 1.96 * aps.std() / 48**0.5
    assert report.interval == pytest.approx((report.mean_ap - half, report.mean_ap + half), rel=1e-4)
    assert report.per_query["path"].tolist() == [f"0/{i}.jpg" for i in range(50)]
    assert report.deviation is None
    told = json.loads(json.dumps(report.to_dict()))
    assert {"mean_ap", "mean_inp", "cmc", "num_queries", "num_skipped", "protocol"} <= set(told)
    assert told["cmc"][4] == report.cmc(5) == (report.per_query["first_rank"] <= 5).sum() / 48
    assert told["protocol"] == "cross_camera"
    with pytest.raises(ValueError, match="rank from 1"):
        report.cmc(0)


def test_one_query_says_nothing_of_the_spread() -> None:
    gallery = random_set(1, 200)
    assert evaluate(random_set(0, 1), gallery, cross_camera).interval == (0, 1)


def test_any_labels() -> None:
    query, gallery = random_set(0, 50), random_set(1, 200)
    report = evaluate(query, gallery, cross_camera)

    def renamed(e: Embeddings) -> Embeddings:
        identities = [f"who {i}" if i % 2 else int(i) for i in e.identities]
        return Embeddings(e.vectors, identities, cameras=[f"camera {c}" for c in e.cameras])  # type: ignore[union-attr]

    assert evaluate(renamed(query), renamed(gallery), cross_camera).to_dict() == report.to_dict()
    as_text = Embeddings(gallery.vectors, [str(i) for i in gallery.identities], cameras=gallery.cameras)
    with pytest.raises(DataError, match="written alike"):
        evaluate(query, as_text, cross_camera)  # The integer 7 is not the string "7".


def test_length_and_type_of_vectors_do_not_matter() -> None:
    query, gallery = random_set(0, 50), random_set(1, 200)
    report = evaluate(query, gallery, cross_camera)
    lengths = 2.0 ** torch.randint(-3, 4, (200, 1), generator=torch.Generator().manual_seed(0))
    longer = Embeddings(gallery.vectors * lengths, gallery.identities, cameras=gallery.cameras)
    assert evaluate(query, longer, cross_camera).to_dict() == report.to_dict()
    coarse = [Embeddings(e.vectors.half(), e.identities, cameras=e.cameras) for e in (query, gallery)]
    fine = [Embeddings(e.vectors.double(), e.identities, cameras=e.cameras) for e in coarse]
    assert evaluate(*coarse, cross_camera).to_dict() == evaluate(*fine, cross_camera).to_dict()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_gallery_in_a_mapped_file(tmp_path: Path, dtype: type) -> None:
    query, gallery = random_set(0, 50), random_set(1, 200)
    np.save(tmp_path / "gallery.npy", gallery.vectors.numpy().astype(dtype))
    loaded, mapped = np.load(tmp_path / "gallery.npy"), np.load(tmp_path / "gallery.npy", mmap_mode="r")
    reports = [
        evaluate(query, Embeddings(v, gallery.identities, cameras=gallery.cameras), cross_camera)
        for v in (loaded, mapped)
    ]
    assert reports[0].to_dict() == reports[1].to_dict()


def test_embeddings_travel_between_processes(tmp_path: Path) -> None:
    np.save(tmp_path / "vectors.npy", random_set(0, 5).vectors.numpy())
    mapped = Embeddings(np.load(tmp_path / "vectors.npy", mmap_mode="r"), [*range(5)], paths=[*"abcde"])
    arrived = pickle.loads(pickle.dumps(mapped))
    assert torch.equal(arrived.vectors, mapped.vectors)
    assert arrived.paths.tolist() == [*"abcde"]
    assert arrived.cameras is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_are_not_changed(dtype: type) -> None:
    query, gallery = (
        Embeddings(e.vectors.numpy().astype(dtype), e.identities, cameras=e.cameras)
        for e in (random_set(0, 50), random_set(1, 200))
    )
    before = query.vectors.clone(), gallery.vectors.clone()
    for reranking in (None, k_reciprocal(), average_query_expansion()):
        evaluate(query, gallery, cross_camera, reranking=reranking)
    assert torch.equal(query.vectors, before[0])
    assert torch.equal(gallery.vectors, before[1])


# --- bad input ---


def test_no_query_with_a_match() -> None:
    query, gallery = random_set(0, 5), random_set(1, 200)
    strangers = Embeddings(gallery.vectors, gallery.identities + 100, cameras=gallery.cameras)
    with pytest.raises(DataError, match="none of 5 queries has a match in the gallery of 200 under cross_camera"):
        evaluate(query, strangers, cross_camera)
    with pytest.raises(DataError, match="none of 0 queries"):
        evaluate(query[slice(0, 0)], gallery, cross_camera)


def test_dimensions_differ() -> None:
    with pytest.raises(ValueError, match=r"got \(5, 16\) for the query and \(9, 8\) for the gallery"):
        evaluate(random_set(0, 5), random_set(1, 9, dim=8), any_view)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_vectors_that_are_not_finite(bad: float) -> None:
    gallery = random_set(1, 200)
    gallery.vectors[17, 3] = bad
    with pytest.raises(DataError, match=r"row 17 \(1/17.jpg\)"):
        evaluate(random_set(0, 5), gallery, any_view)


def test_across_ranks_is_for_plain_searches() -> None:
    with pytest.raises(ValueError, match="one process"):
        evaluate(random_set(0, 5), random_set(1, 20), any_view, reranking=k_reciprocal(), across_ranks=True)


# --- several processes ---

CASES = {
    "cross_camera": (cross_camera, 61, 300),
    "tracks": (veri_track, 61, 300),
    "sysu": (sysu_mm01(shots=10, trials=3), 61, 300),
    "vehicle_id": (vehicle_id(repeats=3), 120, 120),
    "more processes than queries": (any_view, 1, 300),
    "copies": (any_view, 15, 2500),
}


def case(name: str) -> tuple[Embeddings, Embeddings]:
    _, num_queries, num_gallery = CASES[name]
    if name == "copies":
        return many_copies(num_queries, num_gallery)
    query, gallery = random_set(0, num_queries), random_set(0 if name == "vehicle_id" else 1, num_gallery)
    if name == "sysu":
        assert query.cameras is not None
        query = Embeddings(query.vectors, query.identities, cameras=np.where(query.cameras < 3, 3, 6))
    elif name != "vehicle_id":
        # Equal vectors under several identities, on both sides of every cut.
        gallery.vectors[150:] = gallery.vectors[:150]
    return query, gallery


def many_copies(num_queries: int, num_gallery: int) -> tuple[Embeddings, Embeddings]:
    """A third of the gallery are copies under another identity, a fifth one last bit away from another."""
    generator, dim = np.random.default_rng(0), 2048
    vectors = generator.standard_normal((num_gallery, dim)).astype(np.float32) + np.float32(0.5)
    vectors[: num_gallery // 3] = vectors[generator.integers(num_gallery // 3, num_gallery, num_gallery // 3)]
    moved = np.arange(num_gallery - num_gallery // 5, num_gallery)
    at = generator.integers(0, dim, len(moved))
    vectors[moved] = vectors[generator.integers(0, num_gallery // 2, len(moved))]
    vectors[moved, at] = np.nextafter(vectors[moved, at], np.float32(9))
    order = generator.permutation(num_gallery)
    gallery = Embeddings(vectors[order], generator.integers(0, 100, num_gallery))
    noise = (0.02 * generator.standard_normal((num_queries, dim))).astype(np.float32)
    query = gallery[:num_queries]
    return Embeddings(query.vectors + torch.from_numpy(noise), query.identities), gallery


def on_this_rank(address: str, rank: int, ranks: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=ranks)
    found = {}
    for name, (protocol, *_) in CASES.items():
        parts = []
        for embeddings in case(name):
            cuts = [0, len(embeddings) // 3 + 1, len(embeddings)]
            parts.append(embeddings[slice(cuts[rank], cuts[rank + 1])])
        found[name] = describe(evaluate(*parts, protocol, across_ranks=True))
    Path(f"{address}.{rank}.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


def describe(report: Report) -> dict[str, Any]:
    return report.to_dict(ranks=300) | {"aps": report.per_query["average_precision"].fillna(-1).tolist()}


def test_two_processes_find_what_one_finds(tmp_path: Path) -> None:
    address = tmp_path / "meeting"
    started = [
        subprocess.Popen([sys.executable, "-W", "ignore", __file__, str(address), str(rank)]) for rank in range(2)
    ]
    assert [process.wait(timeout=600) for process in started] == [0, 0]
    alone = {name: describe(evaluate(*case(name), protocol)) for name, (protocol, *_) in CASES.items()}
    for rank in range(2):
        assert json.loads(Path(f"{address}.{rank}.json").read_text()) == json.loads(json.dumps(alone))


def test_drawn_galleries_want_one_process() -> None:
    with pytest.raises(ValueError, match="gather the embeddings"):
        evaluate(random_set(0, 5), random_set(1, 20), cuhk03_classic(), across_ranks=True)


if __name__ == "__main__":
    on_this_rank(sys.argv[1], int(sys.argv[2]), 2)


def test_further_settings_are_evaluated_from_the_vectors_at_hand() -> None:
    """Narrowed, swapped and whole: as if their own pictures had been embedded."""
    generator = np.random.default_rng(0)
    samples = tuple(Sample(f"{n}", n % 6, camera=n % 4, modality="visible" if n % 2 else "infrared") for n in range(60))
    query, gallery = samples[:20], samples[20:]
    vectors = dict(zip(samples, torch.from_numpy(generator.standard_normal((60, 8))), strict=True))

    def embedded(part: tuple[Sample, ...]) -> Embeddings:
        return Embeddings.of(torch.stack([vectors[s] for s in part]), part)

    settings = [
        (query, gallery, any_view),
        (gallery, query, cross_camera),
        (query[3:], tuple(s for s in gallery if s.modality == "visible"), any_view),
    ]
    further = tuple(Benchmark("", (), q, g, protocol) for q, g, protocol in settings)
    data = Benchmark("", (), query, gallery, cross_camera, further=further)
    found = evaluate_further(data, embedded(query), embedded(gallery))
    for report, (q, g, protocol) in zip(found, settings, strict=True):
        alone = evaluate(embedded(q), embedded(g), protocol)
        assert report.mean_ap == alone.mean_ap
        assert report.num_queries == alone.num_queries
    assert evaluate_further(Benchmark("", (), query, gallery, any_view), embedded(query), embedded(gallery)) == []


@pytest.mark.parametrize("sides", ["both", "the gallery"])
def test_identities_beyond_64_bits_are_individuals_like_any_others(sides: str) -> None:
    """NumPy would round those beside a -1 to float64, in which all of these are one."""
    generator = np.random.default_rng(0)
    who = np.concatenate([[-1], generator.integers(0, 40, 199)])
    huge = [-1 if number < 0 else 2**63 + 12345 + 7 * int(number) for number in who]
    vectors = generator.standard_normal((200, 16)).astype(np.float32)
    first = 0 if sides == "both" else 1
    maps = [
        evaluate(Embeddings(vectors[first:100], of[first:100]), Embeddings(vectors[100:], [-1, *of[101:]]), any_view)
        for of in (huge, who.tolist(), [f"person {number}" for number in who])
    ]
    assert maps[0].mean_ap == maps[1].mean_ap
    assert maps[0].num_queries == maps[1].num_queries
    assert maps[0].mean_ap < 0.2
    assert Embeddings.joined([Embeddings(vectors, huge), Embeddings(vectors[:1], [2**63])]).identities[-1] == 2**63
