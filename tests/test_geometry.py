"""Relations, measures and masked reductions against loops and against float64."""

import math

import pytest
import torch
from torch import Tensor

from reseen.geometry import (
    Candidates,
    Crossing,
    MemoryCandidates,
    compare,
    cosine,
    euclidean,
    inner_product,
    masked_logsumexp,
    masked_max,
    masked_mean,
    masked_min,
    masked_softmean,
    normalized_euclidean,
    row_blocks,
    smallest,
    unit,
)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def stored(x: Tensor, y: Tensor, **changes: object) -> MemoryCandidates:
    fields = {"norms": x.norm(dim=1), "filled": torch.ones(len(x), dtype=torch.bool), **changes}
    return MemoryCandidates(x, y, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("keep", ["keep", "exclude"])
@pytest.mark.parametrize("crosses", [False, True])
@pytest.mark.parametrize("offset", [None, 0, 2])
def test_relation_equals_a_loop(offset: int | None, crosses: bool, keep: str) -> None:
    generator = torch.Generator().manual_seed(3)
    y, live_y, past_y = (torch.randint(3, (n,), generator=generator) for n in (4, 7, 6))
    m, live_m, past_m, filled = (torch.rand(n, generator=generator) > 0.4 for n in (4, 7, 6, 6))
    past = stored(random(6, 2), past_y, filled=filled, same_identity=keep, modalities=past_m)
    crossing = Crossing(m, (1.0, 1.0)) if crosses else None
    candidates = Candidates(random(7, 2), live_y, offset, modalities=live_m, stored=(past,), crossing=crossing)
    relation = compare(random(4, 2), y, candidates).relation()
    for i in range(4):
        for j in range(13):
            if j < 7:
                seen, own = not crosses or bool(m[i] != live_m[j]), offset is not None and j == i + offset
                same, positive = bool(y[i] == live_y[j]), True
            else:
                seen, own = bool(filled[j - 7]) and (not crosses or bool(m[i] != past_m[j - 7])), False
                same, positive = bool(y[i] == past_y[j - 7]), keep == "keep"
            assert relation.positive[i, j] == (seen and same and not own and positive)
            assert relation.negative[i, j] == (seen and not same)
            assert relation.itself[i, j] == (own and not crosses)
    assert not relation.positive[:, relation.positive_columns :].any()
    part = compare(random(4, 2), y, candidates).relation(slice(1, 3))
    for of_some, of_all in zip(part[:3], relation[:3], strict=True):
        assert torch.equal(of_some, of_all[1:3])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_measures_equal_their_definitions(dtype: torch.dtype) -> None:
    a, c, past = random(4, 5, dtype=dtype), random(6, 5, seed=1, dtype=dtype), random(3, 5, seed=2, dtype=dtype)
    pairs = compare(a, torch.arange(4), Candidates(c, torch.arange(6), None, stored=(stored(past, torch.arange(3)),)))
    everyone = torch.cat([c, past])
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(inner_product(pairs), a @ everyone.T, **tolerance)
    torch.testing.assert_close(euclidean(pairs), (a[:, None] - everyone).norm(dim=2), **tolerance)
    expected = torch.nn.functional.cosine_similarity(a[:, None], everyone, dim=2)
    torch.testing.assert_close(cosine(pairs), expected, **tolerance)
    distances = (unit(a)[:, None] - unit(everyone)).norm(dim=2)
    torch.testing.assert_close(normalized_euclidean(pairs), distances, **tolerance)


@pytest.mark.parametrize("measure", [cosine, euclidean, inner_product, normalized_euclidean])
def test_measures_have_the_right_gradient(measure) -> None:  # type: ignore[no-untyped-def]
    a, c = random(3, 4).requires_grad_(), random(5, 4, seed=1).requires_grad_()
    past = stored(random(2, 4, seed=2), torch.arange(2))

    def alone(a: Tensor) -> Tensor:
        return measure(compare(a, torch.arange(3)))

    def among(a: Tensor, c: Tensor) -> Tensor:
        return measure(compare(a, torch.arange(3), Candidates(c, torch.arange(5), None, stored=(past,))))

    off_diagonal = ~torch.eye(3, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda a: alone(a)[off_diagonal], a)
    assert torch.autograd.gradcheck(among, (a, c))


@pytest.mark.parametrize("norm", [1.0, 30.0, 300.0])
@pytest.mark.parametrize("apart", [1e-1, 1e-3])
def test_near_pairs_keep_their_distance(norm: float, apart: float) -> None:
    """A float32 Gram matrix reads 0.001 as 0.02 at norm 30, and as nothing at norm 300."""
    x = torch.nn.functional.normalize(random(2, 2048)) * norm
    direction = torch.nn.functional.normalize(random(1, 2048, seed=1))
    x[1] = x[0] + apart * direction
    x = x.float()
    true = (x[0].double() - x[1].double()).norm()
    for pairs in (
        compare(x, torch.arange(2)),
        compare(x, torch.arange(2), Candidates(x.clone(), torch.arange(2), 0)),
    ):
        assert euclidean(pairs)[0, 1].item() == pytest.approx(true.item(), rel=1e-3)


def test_near_directions_keep_their_distance() -> None:
    """Cosines of float32 tell no distance below 0.0003 from 0."""
    x = random(2, 2048)
    for apart in (1e-4, 1e-3, 3e-3):
        pair = torch.stack([x[0], x[0] + apart * x[0].norm() * unit(x[1:])[0]]).float().requires_grad_()
        true = (unit(pair.detach().double())[0] - unit(pair.detach().double())[1]).norm()
        for candidates in (None, Candidates(pair.clone(), torch.arange(2), 0)):
            d = normalized_euclidean(compare(pair, torch.arange(2), candidates))[0, 1]
            assert d.item() == pytest.approx(true.item(), rel=2e-3)
            (gradient,) = torch.autograd.grad(d, pair)
            # The distance changes at the rate of 1/length as one of the two turns.
            assert gradient[1].norm().item() == pytest.approx(1 / pair[1].norm().item(), rel=2e-3)


@pytest.mark.parametrize("length", [1e-5, 1e30])
def test_normalized_distances_do_not_know_lengths(length: float) -> None:
    x = random(5, 8, dtype=torch.float32)
    others = Candidates(random(3, 8, seed=1, dtype=torch.float32), torch.arange(3), None)
    for candidates in (None, others):
        slopes = []
        for scale in (1, length):
            a = (x * scale).requires_grad_()
            d = normalized_euclidean(compare(a, torch.arange(5), candidates))
            d.square().sum().backward()
            assert a.grad is not None
            slopes.append((d.detach(), a.grad * scale))
        torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-4, atol=1e-4)


def test_copies_are_at_distance_0_without_gradient() -> None:
    x = (300 * random(1, 2048, dtype=torch.float32)).expand(4, -1).clone().requires_grad_()
    d = euclidean(compare(x, torch.arange(4)))
    assert (d == 0).all()
    d.sum().backward()
    assert (x.grad == 0).all()


def test_a_gradient_never_exceeds_what_distances_can_have() -> None:
    """Where a distance is unsure, its direction must not be blown up: stored pairs are measured in float32."""
    past = 30 * torch.nn.functional.normalize(random(64, 512, dtype=torch.float32))
    for apart in (1e-1, 1e-2, 1e-3, 1e-4):
        a = (past + apart * unit(random(64, 512, seed=1, dtype=torch.float32))).requires_grad_()
        candidates = Candidates(
            a[:1].detach() + 100, torch.zeros(1, dtype=torch.int64), None, stored=(stored(past, torch.arange(64)),)
        )
        euclidean(compare(a, torch.arange(64), candidates))[:, 1:].diagonal().sum().backward()
        assert a.grad.norm(dim=1).max() < 2


def test_a_vector_without_direction_gets_no_gradient() -> None:
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1e-9, 0.0]], requires_grad=True)
    u = unit(x)
    torch.testing.assert_close(u.detach(), torch.tensor([[0.0, 0.0], [0.6, 0.8], [0.0, 0.0]]))
    (gradient,) = torch.autograd.grad((u * torch.tensor([1.0, 2.0])).sum(), x)
    assert (gradient[[0, 2]] == 0).all()
    assert gradient[1].norm() > 0


def test_masked_reductions_equal_loops() -> None:
    x = 5 * random(6, 9)
    mask = torch.rand(6, 9, generator=torch.Generator().manual_seed(0)) > 0.5
    mask[2], mask[3] = False, True
    for i in range(6):
        kept = [float(v) for v in x[i][mask[i]]]
        assert masked_max(x, mask)[i] == max(kept, default=-math.inf)
        assert masked_min(x, mask)[i] == min(kept, default=math.inf)
        assert masked_mean(x, mask)[i].item() == pytest.approx(sum(kept) / max(len(kept), 1))
        total = sum(math.exp(v) for v in kept)
        assert masked_logsumexp(x, mask)[i].item() == pytest.approx(math.log(total) if kept else -math.inf)
        weighted = sum(math.exp(v) * 2 * v for v in kept) / (total or 1)
        assert masked_softmean(2 * x, x, mask)[i].item() == pytest.approx(weighted)


def softmean(x: Tensor, mask: Tensor) -> Tensor:
    return masked_softmean(x, x, mask)


REDUCTIONS = [masked_max, masked_min, masked_mean, masked_logsumexp, softmean]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nan_among_what_is_kept_stays(reduction) -> None:  # type: ignore[no-untyped-def]
    x = random(3, 5)
    x[0, 1] = math.nan
    assert reduction(x, torch.ones(3, 5, dtype=torch.bool)).isnan().tolist() == [True, False, False]


@pytest.mark.parametrize("scale", [1.0, 2.0**16])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_rows_that_keep_nothing_get_no_gradient(reduction, scale: float) -> None:  # type: ignore[no-untyped-def]
    """Whatever a GradScaler multiplies the loss by."""
    x = (1e4 * random(4, 5, dtype=torch.float32)).requires_grad_()
    mask = torch.zeros(4, 5, dtype=torch.bool)
    mask[0] = True
    reduced = reduction(x, mask)
    (scale * reduced.masked_fill(reduced.isinf(), 0)).sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad[1:] == 0).all()


def test_row_blocks_cover_every_row_once() -> None:
    for rows, columns, elements in ((10, 3, 9), (1, 100, 9), (7, 0, 9), (8, 4, 8)):
        cuts = list(row_blocks(rows, columns, elements))
        assert [i for cut in cuts for i in range(rows)[cut]] == list(range(rows))
        assert all((cut.stop - cut.start) * columns <= max(elements, columns) for cut in cuts)


def test_wrong_candidates_are_named() -> None:
    x, y = random(4, 5), torch.arange(4)
    with pytest.raises(ValueError, match=r"expected candidates \(C, 5\).*got \(4, 3\)"):
        compare(x, y, Candidates(random(4, 3), y, 0))
    with pytest.raises(ValueError, match=r"expected candidates' labels \(4,\).*got \(3,\)"):
        compare(x, y, Candidates(x, y[:3], 0))
    with pytest.raises(ValueError, match=r"expected an offset from 0 to 2.*got 3"):
        compare(x, y, Candidates(random(6, 5), torch.arange(6), 3))
    with pytest.raises(ValueError, match=r"give None where the anchors are not among"):
        compare(x, y, Candidates(random(2, 5), torch.arange(2), 0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", [0, 1, 4, 9])
def test_smallest_equals_a_loop(k: int, dtype: torch.dtype) -> None:
    x = random(5, 9, dtype=dtype)
    x[2, 3], x[3, 1:4] = torch.inf, torch.tensor([-torch.inf, torch.inf, torch.inf])
    found = smallest(x.requires_grad_(), k)
    assert found.tolist() == [sorted(row)[:k] for row in x.tolist()]
    (gradient,) = torch.autograd.grad(found[found.isfinite()].sum(), x)
    assert torch.equal(gradient, (x.isfinite() & (x < sorted_at(x, k))).to(dtype))


def sorted_at(x: Tensor, k: int) -> Tensor:
    """Return the number of each row (A, 1) with k below it; inf where all are."""
    return torch.nn.functional.pad(x.detach().sort(dim=1).values, (0, 1), value=torch.inf)[:, k : k + 1]
