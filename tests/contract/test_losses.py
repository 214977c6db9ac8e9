"""What every loss owes its user, on any batch. A loss in ``reseen.losses.__all__`` is under test by being there."""

import copy
import inspect
import math
from collections.abc import Callable

import pytest
import torch
from tests.gpus import Gpu, PretendedGpu
from torch import Tensor

from reseen import losses
from reseen.geometry import Candidates
from reseen.losses import (
    AcrossRanks,
    AdaSPLoss,
    ClassifierLoss,
    CrossBatchMemory,
    CrossModal,
    ExpATLoss,
    HardTripletLoss,
    HELoss,
    Loss,
    NPairLoss,
    PairLoss,
    RandomTriplets,
    Wrapper,
)

D = 6
IDENTITIES = 5


def plain_losses() -> dict[str, Loss]:
    classes = [getattr(losses, name) for name in losses.__all__]
    final = [c for c in classes if issubclass(c, Loss) and not inspect.isabstract(c) and not issubclass(c, Wrapper)]
    return {c.__name__: c() for c in final} | {
        "HardTripletLoss(None)": HardTripletLoss(None),
        "ExpATLoss(exp_mean)": ExpATLoss(form="exp_mean"),
        "HELoss(cosine)": HELoss("cosine"),
        "NPairLoss(inner_product)": NPairLoss(metric="inner_product"),
    }


def all_losses() -> dict[str, Loss]:
    """Every loss by itself, and every pair loss in every wrapper."""
    found = plain_losses()
    for name, loss in plain_losses().items():
        if isinstance(loss, PairLoss):
            found[f"AcrossRanks({name})"] = AcrossRanks(loss)
            found[f"CrossModal({name})"] = CrossModal(loss)
            found[f"CrossBatchMemory({name})"] = CrossBatchMemory(loss, 16, D)
    found["AcrossRanks(CrossBatchMemory(CrossModal))"] = AcrossRanks(CrossBatchMemory(CrossModal(AdaSPLoss()), 16, D))
    found["CrossModal(CrossBatchMemory(AcrossRanks))"] = CrossModal(CrossBatchMemory(AcrossRanks(AdaSPLoss()), 16, D))
    return found


NAMES = list(all_losses())
PLAIN = list(plain_losses())
OF_PAIRS = [name for name, loss in plain_losses().items() if isinstance(loss, PairLoss)]
OF_IDENTITIES = [name for name, loss in plain_losses().items() if isinstance(loss, ClassifierLoss)]
# Their weights carry no gradient, so that values do not change as gradients say.
DETACHED = {"AdaSPLoss", "CircleLoss", "CircleSoftmaxLoss"}


@pytest.fixture(params=NAMES)
def loss(request: pytest.FixtureRequest) -> Loss:
    return ready(all_losses()[request.param])


def ready(loss: Loss) -> Loss:
    torch.manual_seed(0)
    for module in loss.modules():
        if isinstance(module, ClassifierLoss):
            module.build(IDENTITIES, D)
    return loss


def batch(
    counts: tuple[int, ...] = (4, 3, 3, 2), *, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Return shuffled embeddings (sum of counts, D) around identities' centres, and labels."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    centres = torch.randn(len(counts), D, dtype=torch.float64, generator=generator)
    x = centres[y] + 0.7 * torch.randn(len(y), D, dtype=torch.float64, generator=generator)
    order = torch.randperm(len(y), generator=generator)
    return x[order].to(dtype), y[order]


def modalities(x: Tensor) -> Tensor:
    """Return which embeddings are infrared: a property of the row, so that it moves along when rows do."""
    return x[:, 0] > x[:, 0].median()


def run(loss: Loss, x: Tensor, y: Tensor, candidates: Candidates | None = None) -> tuple[Tensor, Tensor]:
    """Return the value and the gradient."""
    x = x.detach().clone().requires_grad_()
    extra = {"modalities": modalities(x.detach())} if loss.takes_modalities else {}
    value = loss(x, y, candidates, **extra)
    (gradient,) = torch.autograd.grad(value, x)
    return value.detach(), gradient


def test_order_of_the_batch_changes_nothing(loss: Loss) -> None:
    loss.double().eval()
    x, y = batch()
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(1))
    (value, gradient), (shuffled, its_gradient) = run(loss, x, y), run(loss, x[order], y[order])
    torch.testing.assert_close(shuffled, value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(its_gradient, gradient[order], rtol=1e-9, atol=1e-10)


def awkward_batches() -> dict[str, tuple[Tensor, Tensor]]:
    x, y = batch()
    duplicates, zero = x.clone(), x.clone()
    duplicates[1], duplicates[5] = x[0], x[4]
    zero[2] = 0
    return {
        "unequal": batch((7, 1, 3, 1)),
        "one identity": batch((6,)),
        "all different": batch((1, 1, 1, 1, 1)),
        "one row": batch((1,)),
        "two rows": batch((2,)),
        "duplicates": (duplicates, y),
        "collapsed": (x[:1].expand_as(x), y),
        "collapsed to zero": (torch.zeros_like(x), y),
        "identities collapsed": (torch.stack([x[y == label][0] for label in y]), y),
        "a zero row": (zero, y),
        "long": (100 * x, y),
        "short": (1e-4 * x, y),
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_values_and_gradients_are_finite(loss: Loss, dtype: torch.dtype) -> None:
    loss.to(dtype)
    for which, (x, y) in awkward_batches().items():
        value, gradient = run(loss, x.to(dtype), y)
        assert value.isfinite(), which
        assert gradient.isfinite().all(), which
        shortest = x.norm(dim=1).clamp(min=1e-3).min()
        assert gradient.norm() < 1e3 / min(1, shortest), f"{which}: a gradient of length {gradient.norm()}"
        leaf = x.to(dtype).requires_grad_()
        extra = {"modalities": modalities(x)} if loss.takes_modalities else {}
        assert torch.autograd.grad(2**16 * loss(leaf, y, **extra), leaf)[0].isfinite().all(), f"{which}, scaled"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_types_lose_only_what_the_type_loses(loss: Loss, dtype: torch.dtype) -> None:
    loss.eval()
    x, y = batch(dtype=torch.float32)
    rounded = x.to(dtype).requires_grad_()
    expected, its_gradient = run(loss, rounded.float(), y)
    extra = {"modalities": modalities(rounded.detach())} if loss.takes_modalities else {}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, widened = loss(rounded, y, **extra), loss(rounded.float(), y, **extra)
    (gradient,) = torch.autograd.grad(value, rounded)
    assert value == widened == expected
    assert gradient.dtype == dtype
    torch.testing.assert_close(gradient.float(), its_gradient, rtol=2 * torch.finfo(dtype).eps, atol=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [*NAMES, *(f"RandomTriplets({name})" for name in OF_PAIRS)])
def test_what_is_not_finite_never_makes_an_ordinary_loss(name: str, bad: float) -> None:
    """The usual guard of a training loop, isfinite(loss), must see it."""
    losses = all_losses() | {f"RandomTriplets({name})": RandomTriplets(plain_losses()[name]) for name in OF_PAIRS}
    loss = ready(losses[name])
    places = {"component": (3, 2), "row": (3,), "all rows": (slice(None),)}
    for which, place in places.items():
        for counts in ((4, 3, 3, 2), (1, 1, 1, 1), (4,)):
            x, y = batch(counts, dtype=torch.float32)
            x[place] = bad
            value, _ = run(loss, x, y)
            assert not value.isfinite(), (which, counts)
            if isinstance(loss, PairLoss | Wrapper):
                assert value.isnan(), (which, counts)


def test_what_is_not_finite_among_proxies_shows_as_well() -> None:
    x, y = batch(dtype=torch.float32)
    proxies = torch.eye(IDENTITIES, D).index_fill(0, torch.tensor([4]), math.inf)
    for name in OF_PAIRS:
        assert plain_losses()[name](x, y, Candidates(proxies, torch.arange(IDENTITIES), None)).isnan(), name


def test_large_half_embeddings_do_not_overflow(loss: Loss) -> None:
    x, y = batch(dtype=torch.float32)
    value, gradient = run(loss, (1000 * x).half(), y)
    assert value.isfinite()
    assert gradient.isfinite().all()


MINED = ["CrossBatchMemory(HardTripletLoss)", "CrossBatchMemory(NPairLoss)"]
COMPILED = [name for name in NAMES if "(" not in name or name.endswith("(AdaSPLoss)")]


@pytest.mark.parametrize(
    ("name", "gradient"),
    [*((name, False) for name in [*COMPILED, *MINED]), *((name, True) for name in ["HardTripletLoss", *MINED])],
)
def test_it_compiles_into_one_graph(name: str, gradient: bool) -> None:
    loss = ready(all_losses()[name]).eval()
    x, y = batch(dtype=torch.float32)
    x.requires_grad_(gradient)
    extra = {"modalities": modalities(x)} if loss.takes_modalities else {}
    torch.compiler.reset()
    value = torch.compile(loss, backend="eager", fullgraph=True)(x, y, **extra)
    assert value == loss(x, y, **extra)


@pytest.mark.parametrize("name", [name for name in NAMES if not any(each in name for each in DETACHED)])
def test_gradient_equals_finite_differences(name: str) -> None:
    loss = ready(all_losses()[name]).double().eval()
    x, y = batch(seed=3)
    extra = {"modalities": modalities(x)} if loss.takes_modalities else {}
    assert torch.autograd.gradcheck(lambda x: loss(x, y, **extra), x.requires_grad_(), atol=1e-6)


def function_of(loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    def function(x: Tensor, y: Tensor) -> Tensor:
        extra = {"modalities": torch.arange(len(y)) % 2 == 0} if loss.takes_modalities else {}
        value: Tensor = loss(x, y, **extra)
        return value

    return function


@pytest.mark.parametrize(
    "name", [name for name in NAMES if not any(each in name for each in (*DETACHED, "(Cross", "(Rem"))]
)
def test_second_derivatives_equal_finite_differences(name: str) -> None:
    """As a gradient penalty needs them."""
    function = function_of(ready(all_losses()[name]).double().eval())
    x, y = batch()
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))

    def gradient(x: Tensor) -> Tensor:
        x = x.clone().requires_grad_()
        return torch.autograd.grad(function(x, y), x, create_graph=True)[0]

    expected = (gradient(x + 1e-6 * direction) - gradient(x - 1e-6 * direction)) / 2e-6
    x.requires_grad_()
    first = torch.autograd.grad(function(x, y), x, create_graph=True)[0]
    found = torch.autograd.grad((first * direction).sum(), x)[0] if first.requires_grad else torch.zeros_like(x)
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_transforms_of_functions_work(name: str) -> None:
    """`torch.func.grad` and ``vmap``, in either order, equal a loop over autograd."""
    function = function_of(ready(all_losses()[name]).double().eval())
    x, y = (torch.stack(each) for each in zip(*(batch(seed=seed) for seed in range(3)), strict=True))
    leaf = x.clone().requires_grad_()
    values = torch.stack([function(*each) for each in zip(leaf, y, strict=True)])
    (gradients,) = torch.autograd.grad(values.sum(), leaf)
    close = torch.testing.assert_close
    close(torch.func.vmap(function)(x, y), values.detach())
    close(torch.func.grad(function)(x[0], y[0]), gradients[0])
    close(torch.func.vmap(torch.func.grad(function))(x, y), gradients)
    close(torch.func.grad(lambda x: torch.func.vmap(function)(x, y).sum())(x), gradients)


@pytest.mark.parametrize("name", [*NAMES, *(f"RandomTriplets({name})" for name in OF_PAIRS)])
def test_a_gpu_gives_what_the_cpu_gives_and_is_not_waited_for(name: str, gpu: Gpu) -> None:
    losses = all_losses() | {f"RandomTriplets({name})": RandomTriplets(plain_losses()[name]) for name in OF_PAIRS}
    loss = ready(losses[name]).double()
    there = gpu.put(copy.deepcopy(loss))
    drawn = "RandomTriplets" in name and not isinstance(gpu, PretendedGpu)  # CUDA draws other numbers
    for seed in range(2):
        x, y = batch(seed=seed)
        x_there, modality = gpu.put(x).requires_grad_(), gpu.put(modalities(x))
        extra = {"modalities": modality} if loss.takes_modalities else {}
        y_there = gpu.put(y)
        torch.manual_seed(seed)
        with gpu.step():
            value = there(x_there, y_there, **extra)
            value.backward()
        torch.manual_seed(seed)
        expected, gradient = run(loss, x, y)
        assert gpu.fetch(value).isfinite()
        if not drawn:
            gpu.close(value, expected)
            gpu.close(x_there.grad, gradient)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PLAIN or name in OF_PAIRS])
def test_without_a_pair_the_loss_is_0_with_a_graph(name: str) -> None:
    value, gradient = run(ready(all_losses()[name]).eval(), *batch((1,), dtype=torch.float32))
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("name", OF_PAIRS)
def test_labels_are_only_compared(name: str) -> None:
    x, y = batch()
    renamed = torch.tensor([-(2**62), 7, -1, 2**40])[y]
    assert run(plain_losses()[name], x, renamed)[0] == run(plain_losses()[name], x, y)[0]


INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_labels_are_of_any_integer_type(loss: Loss, dtype: torch.dtype) -> None:
    loss.double().eval()
    x, y = batch()
    assert run(loss, x, y.to(dtype))[0] == run(loss, x, y)[0]


@pytest.mark.parametrize("name", OF_IDENTITIES)
@pytest.mark.parametrize("label", [-1, 10**12])
def test_a_label_without_an_identity_is_refused(name: str, label: int) -> None:
    loss = plain_losses()[name].double()
    loss.build(4, D)
    x, y = batch()
    loss.double()(x, y)
    y[2] = label
    with pytest.raises(ValueError, match=rf"expected labels from 0 to \d+ for {name} of \d+ identities, got .*{label}"):
        loss(x, y)


@pytest.mark.parametrize("name", OF_PAIRS)
@pytest.mark.parametrize("length", [1e-42, 1e-30, 1e-12, 1e12])
def test_a_finite_loss_has_a_finite_gradient_at_any_length(name: str, length: float) -> None:
    x, y = batch()
    x = (x.float() * length).requires_grad_()
    loss = plain_losses()[name].float()(x, y)
    if loss.isfinite():
        assert torch.autograd.grad(loss, x)[0].isfinite().all()


@pytest.mark.parametrize("name", OF_PAIRS)
def test_labels_of_candidates_are_of_any_integer_type(name: str) -> None:
    x, y = batch()
    loss = plain_losses()[name]
    for dtype in INTEGERS:
        assert loss(x, y.to(dtype), Candidates(x, y.to(dtype), 0)) == loss(x, y, Candidates(x, y, 0)), dtype


@pytest.mark.parametrize("name", OF_PAIRS)
def test_the_batch_may_be_given_as_candidates(name: str) -> None:
    x, y = batch()
    x = x.requires_grad_()
    loss = plain_losses()[name]
    values = [loss(x, y), loss(x, y, Candidates(x, y, 0)), loss(x, y, Candidates(x.clone(), y, 0))]
    gradients = [torch.autograd.grad(value, x)[0] for value in values]
    for value, gradient in zip(values[1:], gradients[1:], strict=True):
        torch.testing.assert_close(value, values[0], rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", OF_PAIRS)
def test_proxies_are_candidates_that_no_anchor_is_among(name: str) -> None:
    x, y = batch()
    proxies = torch.randn(
        IDENTITIES, D, dtype=torch.float64, generator=torch.Generator().manual_seed(5)
    ).requires_grad_()
    loss = plain_losses()[name]
    value = loss(x.requires_grad_(), y, Candidates(proxies, torch.arange(IDENTITIES), None))
    by_x, by_proxies = torch.autograd.grad(value, (x, proxies))
    assert by_x.isfinite().all()
    assert by_x.abs().sum() > 0
    assert by_proxies.abs().sum() > 0


def test_inputs_stay_as_they_are(loss: Loss) -> None:
    x, y = batch()
    loss.double()
    before = x.clone(), y.clone()
    run(loss, x, y)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])


@pytest.mark.parametrize("name", PLAIN)
def test_wrong_arguments_are_named(name: str) -> None:
    loss = ready(plain_losses()[name])
    x, y = batch(dtype=torch.float32)
    with pytest.raises(ValueError, match=r"expected embeddings \(A, D\)"):
        loss(x[0], y)
    with pytest.raises(ValueError, match=r"expected embeddings \(A, D\).*at least one row"):
        loss(x[:0], y[:0])
    with pytest.raises(ValueError, match=r"expected labels \(12,\), got \(11,\)|expected labels \(12,\) of an integer"):
        loss(x, y[1:])
    with pytest.raises(ValueError, match="integer type"):
        loss(x, y.float())
