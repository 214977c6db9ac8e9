"""The MoReID step against literal ones, and its options."""

import copy
import itertools
from typing import Any

import pytest
import torch
from tests.training.test_loop import lines
from tests.training.tiny import Tiny, run, same
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reseen.cli import main
from reseen.losses import (
    AdaSPLoss,
    CrossBatchMemory,
    CrossModal,
    HardTripletLoss,
    HELoss,
    IdentityLoss,
    Loss,
    NPairLoss,
    RankedListLoss,
)
from reseen.models import Embedder, ModelSpec
from reseen.training import BatchCandidates, CandidateSource, MoReID, Objective, Schedule, Term

LABELS = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
BUFFERS = ("own", "synchronised", "copied", "averaged")


class Undropped(Tiny):
    """A batch norm and no dropout, which the key encoder leaves out."""

    dropout = 0.0


def undropped() -> Embedder:
    torch.manual_seed(0)
    return Embedder(ModelSpec(f"{__name__}.Undropped", height=16, width=8)).train()


def batch(number: int, size: int = 8) -> Tensor:
    """Return pictures of `LABELS`, other ones for each number."""
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 256, (size, 3, 16, 8), dtype=torch.uint8, generator=generator)


def terms(loss: Loss | None = None) -> list[Term]:
    return [Term(IdentityLoss()), Term(HELoss() if loss is None else loss, output="feature")]


class Training:
    """An objective with a candidate source, trained by plain SGD."""

    def __init__(self, candidates: CandidateSource, loss: Loss | None = None) -> None:
        self.model = undropped()
        torch.manual_seed(1)
        self.objective = Objective(self.model, terms(loss), 4).train()
        self.candidates = candidates
        candidates.setup(self.model, self.objective.pair_outputs)

    def gradient(self, number: int, modalities: Tensor | None = None) -> tuple[Tensor, list[Tensor]]:
        values = self.objective(batch(number), LABELS, modalities, self.candidates)
        return values.detach(), list(torch.autograd.grad(values.sum(), trained(self.model)))

    def step(self, number: int, modalities: Tensor | None = None) -> Tensor:
        values, gradients = self.gradient(number, modalities)
        with torch.no_grad():
            for parameter, gradient in zip(trained(self.model), gradients, strict=True):
                parameter -= 0.05 * gradient
        self.candidates.on_step_end(self.model)
        return values


def trained(network: nn.Module) -> list[nn.Parameter]:
    return [p for p in network.parameters() if p.requires_grad]


# The step, literally.


def literal_he(queries: Tensor, keys: Tensor, past: list[tuple[Tensor, int]], *, positive: bool) -> Tensor:
    """HE by trying a boundary between any two distances; ``keys`` are what queries meet of their own batch."""
    labels, costs = LABELS.tolist(), []
    for i, query in enumerate(queries):
        others = [(keys[j], labels[j]) for j in range(len(keys)) if j != i]
        near = [(query - key).square().sum().sqrt() for key, label in others if label == labels[i]]
        far = [(query - key).square().sum().sqrt() for key, label in others + past if label != labels[i]]
        if positive:
            near += [(query - key).square().sum().sqrt() for key, label in past if label == labels[i]]
        ends = sorted(float(d.detach()) for d in near + far)
        boundaries = [(a + b) / 2 for a, b in itertools.pairwise(ends)]
        cost = [sum((d - t).relu() for d in near) + sum((t - d).relu() for d in far) for t in boundaries]
        costs.append(min(cost, key=lambda c: float(c.detach())))
    return torch.stack(costs).mean()


@pytest.mark.parametrize("same_identity", ["exclude", "positive"])
@pytest.mark.parametrize("compared_with", ["queries", "keys"])
def test_a_literal_step_gives_the_same_loss_and_gradients(same_identity: Any, compared_with: Any) -> None:
    momentum, memory_size = 0.7, 20
    training = Training(MoReID(momentum, memory_size, same_identity=same_identity, batch=compared_with))
    slow = copy.deepcopy(training.model)
    past: list[tuple[Tensor, int]] = []
    for number in range(5):
        query_network = copy.deepcopy(training.model)
        queries = query_network(batch(number)).feature
        keys = slow(batch(number)).feature.detach()
        met = queries if compared_with == "queries" else keys
        expected = literal_he(queries, met, past, positive=same_identity == "positive")
        classified = training.objective.losses[0](query_network(batch(number)).embedding, LABELS)
        gradients = torch.autograd.grad(expected + classified, trained(query_network))

        found = copy.deepcopy(training).gradient(number)
        torch.testing.assert_close(found[0][1], expected, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found[1], list(gradients), rtol=1e-3, atol=1e-5)

        training.step(number)
        past = (past + list(zip(keys, LABELS.tolist(), strict=True)))[-memory_size:]
        with torch.no_grad():
            for mine, theirs in zip(slow.parameters(), training.model.parameters(), strict=True):
                mine.copy_(momentum * mine + (1 - momentum) * theirs)


def test_the_key_weights_are_the_closed_form() -> None:
    """After n steps: m^n of the first weights, and (1 - m) m^(n - i) of those after step i."""
    momentum, training = 0.9, Training(MoReID(0.9, 8))
    history = [[p.detach().double().clone() for p in training.model.parameters()]]
    for number in range(12):
        training.step(number)
        history.append([p.detach().double().clone() for p in training.model.parameters()])
    shares = [momentum**12, *((1 - momentum) * momentum ** (12 - i) for i in range(1, 13))]
    expected = [
        sum(share * w for share, w in zip(shares, weights, strict=True)) for weights in zip(*history, strict=True)
    ]
    found = [p.double() for p in training.candidates.encoder.network.parameters()]  # type: ignore[attr-defined]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert (found[0] - history[-1][0]).abs().max() > 1e-3


@pytest.mark.parametrize("buffers", BUFFERS)
def test_with_no_momentum_and_an_empty_dictionary_it_is_plain_training(tmp_path: Any, buffers: Any) -> None:
    """Bit for bit, over a whole run with dropout, whose random numbers the key encoder must leave alone."""
    empty, _ = run(tmp_path / "empty", terms=terms(), candidates=MoReID(0.0, 40, warmup=10**6, buffers=buffers))
    plain, _ = run(tmp_path / "plain", terms=terms())
    assert same(empty, plain)
    used, _ = run(tmp_path / "used", terms=terms(), candidates=MoReID(0.0, 40, buffers=buffers))
    assert not same(used, plain)


def test_the_first_step_is_plain_whatever_the_momentum() -> None:
    plain, first = Training(BatchCandidates()).gradient(0), Training(MoReID()).gradient(0)
    assert torch.equal(plain[0], first[0])
    assert all(torch.equal(a, b) for a, b in zip(plain[1], first[1], strict=True))


@pytest.mark.parametrize("loss", [HELoss, HardTripletLoss, NPairLoss, RankedListLoss, AdaSPLoss])
@pytest.mark.parametrize("wrap", [lambda loss: loss, CrossModal])
def test_with_no_momentum_it_remembers_what_the_network_embedded(loss: Any, wrap: Any) -> None:
    """Any loss over pairs, across modalities too: as `CrossBatchMemory`, which has no key encoder."""
    modalities = torch.tensor([0, 1] * 4)
    with_keys = Training(MoReID(0.0, 16), wrap(loss()))
    remembering = Training(BatchCandidates(), wrap(CrossBatchMemory(loss(), 16, 8)))
    alone = Training(BatchCandidates(), wrap(loss()))
    for number in range(4):
        found, expected = with_keys.step(number, modalities), remembering.step(number, modalities)
        torch.testing.assert_close(found, expected)
        different = alone.step(number, modalities)
    torch.testing.assert_close(list(with_keys.model.parameters()), list(remembering.model.parameters()))
    assert not torch.allclose(found, different)


# What the key encoder is.


def test_the_key_encoder_is_not_trained_and_keeps_no_graph() -> None:
    training = Training(MoReID(0.5, 8))
    training.step(0)
    candidates, trainable = training.candidates, {id(p) for p in training.objective.parameters()}
    assert isinstance(candidates, MoReID)
    assert not any(p.requires_grad or id(p) in trainable for p in candidates.encoder.network.parameters())
    assert not candidates.encoder(batch(0), None).feature.requires_grad
    assert not candidates.dictionaries["feature"].recall().embeddings.requires_grad


def test_buffers_follow_as_chosen() -> None:
    found = {}
    for buffers in BUFFERS:
        training = Training(MoReID(0.5, 8, buffers=buffers))  # type: ignore[arg-type]
        start = training.model.network.backbone.bn.running_mean.clone()
        training.step(0)
        found[buffers] = training.candidates.encoder.network.network.backbone.bn.running_mean  # type: ignore[attr-defined]
        of_network = training.model.network.backbone.bn.running_mean
    torch.testing.assert_close(found["copied"], of_network)
    torch.testing.assert_close(found["averaged"], (start + of_network) / 2)
    torch.testing.assert_close(found["own"], of_network)  # the same weights met the same pictures
    torch.testing.assert_close(found["synchronised"], of_network / 0.1)  # what is left of the batch's own mean


def test_own_and_synchronised_statistics_are_one_on_one_process() -> None:
    own, synchronised = (Training(MoReID(0.5, 16, buffers=b)) for b in ("own", "synchronised"))  # type: ignore[arg-type]
    for number in range(3):
        torch.testing.assert_close(own.step(number), synchronised.step(number))


def test_the_dictionary_waits_for_the_warmup_and_fills_meanwhile() -> None:
    training, plain = Training(MoReID(0.5, 16, warmup=2)), Training(BatchCandidates())
    values = [(training.step(n), plain.step(n)) for n in range(3)]
    assert [torch.equal(a, b) for a, b in values] == [True, True, False]


def test_each_output_with_a_loss_over_pairs_has_a_dictionary_if_it_is_chosen() -> None:
    both = [Term(IdentityLoss()), Term(HELoss(), output="feature"), Term(CrossModal(HELoss()))]
    objective = Objective(undropped(), both, 4)
    for on, expected in (("*", ["feature", "embedding"]), ("feature", ["feature"]), ("emb*", ["embedding"])):
        candidates = MoReID(output=on)
        candidates.setup(undropped(), objective.pair_outputs)
        assert list(candidates.dictionaries) == expected
    with pytest.raises(ValueError, match=r"a loss over pairs on 'branch\.\*' .* got on feature, embedding"):
        MoReID(output="branch.*").setup(undropped(), objective.pair_outputs)
    with pytest.raises(ValueError, match="got none"):
        MoReID().setup(undropped(), Objective(undropped(), [Term(IdentityLoss())], 4).pair_outputs)


def test_wrong_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"momentum from 0 to 1, memory_size from 1 .*, got 1\.5, 8192, 0"):
        MoReID(1.5)
    with pytest.raises(ValueError, match="expected exclude or positive, got 'keep'"):
        MoReID(same_identity="keep")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected own or synchronised or copied or averaged, got 'shuffled'"):
        MoReID(buffers="shuffled")  # type: ignore[arg-type]


# What it costs and what it says.


class Ops(TorchDispatchMode):
    """Names of what ran."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(op.overloadpacket.__name__)
        return op(*args, **(kwargs or {}))


@pytest.mark.parametrize("buffers", BUFFERS)
def test_no_step_waits_for_the_device(buffers: Any) -> None:
    training = Training(MoReID(0.5, 16, buffers=buffers))
    with Ops() as ops:
        for number in range(3):
            training.step(number, torch.tensor([0, 1] * 4))
    assert "lerp_" in str(ops.names)
    assert not ops.names & {"_local_scalar_dense", "item", "nonzero", "masked_select"}


def test_the_log_says_how_old_the_keys_are_and_where_the_hard_negatives(tmp_path: Any) -> None:
    class Counting(MoReID):
        asked = 0

        def metrics(self) -> dict[str, float]:
            self.asked += 1
            return super().metrics()

    candidates = Counting(0.9, 20)
    out = tmp_path / "run"
    run(
        out,
        terms=terms(),
        candidates=candidates,
        schedule=Schedule(epochs=3, learning_rate=0.05, warmup=0),
        log_with=["tensorboard"],
    )
    said = [line["candidates"] for line in lines(out) if "loss" in line]
    assert candidates.asked == len(said) == 9
    assert all(0 <= entry["hard negatives from the dictionary on feature"] <= 1 for entry in said[1:])
    assert all(entry["boundary of HE on feature"] > 0 for entry in said)
    assert [round(entry["age of the sampled keys"], 1) for entry in said[:3]] == [0.8, 0.4, 1.2]
    assert all(entry["cosine of old to new keys on feature"] <= 1 for entry in said)
    assert said[2]["cosine of old to new keys on feature"] < 0.999
    frozen = tmp_path / "frozen"
    run(frozen, terms=terms(), candidates=MoReID(1.0, 20))
    assert all(
        line["candidates"]["cosine of old to new keys on feature"] == pytest.approx(1, abs=1e-6)
        for line in lines(frozen)
        if "loss" in line
    )


def test_it_is_a_choice_on_the_command_line(tmp_path: Any) -> None:
    small = "Synthetic --data.num_train_identities 4 --data.num_test_identities 2 --data.num_cameras 2 --data.height 32"
    words = f"--data {small} --model.backbone tests.training.tiny.Tiny --model.height 32 --model.width 16"
    words += " --batches.identities 4 --batches.images 2 --schedule.epochs 1 --loss HELoss"
    words += " --candidates MoReID --candidates.momentum 0.9 --candidates.memory_size 64 --candidates.buffers copied"
    main(["train", "--out", str(tmp_path / "a"), *words.split()])
    main(["train", "--config", str(tmp_path / "a" / "config.yaml"), "--out", str(tmp_path / "b")])
    first, again = ((tmp_path / name / "last.safetensors").read_bytes() for name in "ab")
    assert "class_path: reseen.training.MoReID" in (tmp_path / "a" / "config.yaml").read_text()
    assert len(first) == len(again)
