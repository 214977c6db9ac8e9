"""On a GPU as on the CPU: evaluation, re-ranking, embedding, Grad-CAM, and the objective with its candidates."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.gpus import DEVICE, Gpu, PretendedGpu, pretended
from tests.training import tiny
from torch import nn

from reseen.embedding.encoder import load
from reseen.embedding.model import embed
from reseen.evaluation import evaluate, fidelity, ranked_list, roc
from reseen.evaluation.reranking import (
    alpha_query_expansion,
    average_query_expansion,
    database_augmentation,
    k_reciprocal,
)
from reseen.evaluation.similarity import Cosine
from reseen.exact import cosines
from reseen.loading import IdentityBatchSampler
from reseen.losses import AdaSPLoss, CrossBatchMemory, HELoss, IdentityLoss
from reseen.models import Embedder, ModelSpec
from reseen.protocols import any_view, cross_camera, cuhk03_classic, sysu_mm01, vehicle_id, veri_track
from reseen.reporting.grad_cam import attention
from reseen.training import BatchCandidates, CandidateSource, MoReID, Objective, Schedule, Term, train
from reseen.types import Embeddings, Protocol

PROTOCOLS = {p.name: p for p in (cross_camera, any_view, cuhk03_classic(), sysu_mm01(), vehicle_id(), veri_track)}
RERANKINGS = {
    "none": None,
    "k_reciprocal": k_reciprocal(k1=5, k2=2),
    "average_query_expansion": average_query_expansion(k=5),
    "alpha_query_expansion": alpha_query_expansion(k=5),
    "database_augmentation": database_augmentation(k=5),
}


def embeddings(seed: int, num: int) -> Embeddings:
    """Return vectors around twelve individuals, some of them equal, with everything that a protocol asks for."""
    generator = np.random.default_rng(seed)
    identities = generator.integers(0, 12, num)
    vectors = np.random.default_rng(9).standard_normal((12, 16))[identities] + generator.standard_normal((num, 16))
    vectors[1::7] = vectors[0]
    rows = np.arange(num)
    return Embeddings(
        vectors.astype(np.float32), identities, cameras=1 + rows % 6, tracks=rows // 2, paths=rows.astype(str)
    )


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))
def test_every_protocol(protocol: Protocol, gpu: Gpu) -> None:
    gallery = embeddings(2, 90)
    query = gallery if protocol.name == "vehicle_id" else embeddings(1, 40)  # which draws either from all
    there = evaluate(gpu.put(query), gpu.put(gallery), protocol)
    here = evaluate(query, gallery, protocol)
    assert (there.mean_ap, there.mean_inp, there.cmc(1)) == (here.mean_ap, here.mean_inp, here.cmc(1))


@pytest.mark.parametrize("name", RERANKINGS)
def test_every_reranking(name: str, gpu: Gpu) -> None:
    query, gallery = embeddings(1, 40), embeddings(2, 90)
    there, here = (
        evaluate(*both, cross_camera, reranking=RERANKINGS[name])
        for both in ((gpu.put(query), gpu.put(gallery)), (query, gallery))
    )
    assert there.mean_ap == pytest.approx(here.mean_ap, abs=1e-6)
    there, here = (
        evaluate(*both, cross_camera, reranking=RERANKINGS[name])
        for both in ((gpu.put(query), gallery), (query, gallery))  # as where the gallery lies in a file
    )
    assert there.mean_ap == pytest.approx(here.mean_ap, abs=1e-6)


def test_lists_thresholds_and_fidelity(gpu: Gpu) -> None:
    query, gallery = embeddings(1, 40), embeddings(2, 90)
    on_gpu = gpu.put(query), gpu.put(gallery)
    there, here = ranked_list(*on_gpu, cross_camera), ranked_list(query, gallery, cross_camera)
    assert np.array_equal(there.rows, here.rows)
    assert np.array_equal(there.positive, here.positive)
    np.testing.assert_allclose(there.scores, here.scores, rtol=1e-12)
    curves = roc(*on_gpu, cross_camera), roc(query, gallery, cross_camera)
    for one, other in zip(*(vars(curve).values() for curve in curves), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.array_equal(fidelity(on_gpu[1]).per_anchor, fidelity(gallery).per_anchor)


@pytest.mark.parametrize("times", [1, 4], ids=["few pairs", "pairs enough to know the lengths first"])
def test_exact_cosines_are_the_same_to_the_bit(times: int, gpu: Gpu) -> None:
    query, gallery = embeddings(1, 40), embeddings(2, 90)
    generator = np.random.default_rng(0)
    pairs = generator.integers(0, 40, 100 * times), generator.integers(0, 90, 100 * times)
    here = Cosine(query, gallery).exact(*pairs)
    assert np.array_equal(here, cosines(query.vectors.numpy()[pairs[0]], gallery.vectors.numpy()[pairs[1]]))
    assert np.array_equal(Cosine(gpu.put(query), gpu.put(gallery)).exact(*pairs), here)
    assert np.array_equal(Cosine(gpu.put(query), gallery).exact(*pairs), here)


def network() -> Embedder:
    torch.manual_seed(0)
    return Embedder(ModelSpec("tests.training.tiny.Tiny", tiny.HEIGHT, tiny.WIDTH))


def test_embedding(gpu: Gpu) -> None:
    samples = tiny.samples(range(4))
    found = embed(gpu.put(network()), samples, batch_size=8)
    np.testing.assert_allclose(found.vectors.numpy(), embed(network(), samples, batch_size=8).vectors, rtol=1e-4)


@pytest.mark.parametrize("backbone", ["osnet_x0_25", "timm:vit_tiny_patch16_224"])
@pytest.mark.parametrize("compared", [False, True])
def test_grad_cam(backbone: str, compared: bool, gpu: Gpu) -> None:
    torch.manual_seed(0)
    model = Embedder(ModelSpec(backbone, 64, 32), pretrained=False).eval()
    images = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8)
    reference = torch.randn(model.dims["embedding"]) if compared else None  # which may lie where the model does not
    expected = attention(model, images, reference=reference)
    found = attention(gpu.put(copy.deepcopy(model)), gpu.put(images), reference=reference)
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)


def candidates() -> dict[str, CandidateSource]:
    return {
        "the batch": BatchCandidates(),
        "MoReID": MoReID(0.9, 16),
        "MoReID with past positives, keys for the batch": MoReID(0.9, 16, same_identity="positive", batch="keys"),
        "MoReID with copied statistics": MoReID(0.9, 16, buffers="copied"),
        "MoReID with averaged statistics": MoReID(0.9, 16, buffers="averaged"),
    }


@pytest.mark.parametrize("source", list(candidates()))
def test_the_objective_and_its_candidates(source: str, gpu: Gpu) -> None:
    labels = torch.arange(4).repeat_interleave(2)
    found = []
    for device in (gpu, None):
        torch.manual_seed(0)
        model = network().train()
        losses = [Term(IdentityLoss()), Term(HELoss()), Term(CrossBatchMemory(AdaSPLoss(), 16, 8), "feature", 0.5)]
        objective = Objective(model, losses, 4)
        compared = candidates()[source]
        if device is not None:
            device.put(objective)
        compared.setup(model, objective.pair_outputs)
        values = []
        for number in range(3):
            generator = torch.Generator().manual_seed(number)
            images = torch.randint(0, 256, (8, 3, tiny.HEIGHT, tiny.WIDTH), dtype=torch.uint8, generator=generator)
            batch = images, labels
            if device is None:
                torch.manual_seed(number)
                values.append(objective(*batch, None, compared))
                compared.on_step_end(model)
                continue
            batch = device.put(images), device.put(labels)
            torch.manual_seed(number)
            with device.step():
                of_batch = objective(*batch, None, compared)
                (objective.weights @ of_batch).backward()
                compared.on_step_end(model)
            values.append(device.fetch(of_batch))
        found.append(torch.stack(values).detach())
        assert set(compared.metrics()) or source == "the batch"
    if isinstance(gpu, PretendedGpu):
        torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
    assert found[0].isfinite().all()


class Mixing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.ones(len(x), 1)


def test_the_device_that_is_not_there_refuses_what_cuda_refuses() -> None:
    with pretended() as gpu:
        x = gpu.put(torch.randn(4, 3)).requires_grad_()
        assert x.device == DEVICE
        with pytest.raises(AssertionError, match="tensors of the device and of the CPU"):
            Mixing()(x)
        with pytest.raises(AssertionError, match="indices on the device"):
            torch.ones(4)[gpu.put(torch.tensor([0]))]
        for wait in (
            lambda: x.sum().item(),
            lambda: x[x > 0],
            lambda: x.cpu(),
            lambda: (x > 0).nonzero(),
            lambda: torch.ones(2).to(x.device),
        ):
            with pytest.raises(AssertionError, match="waits for the device"), gpu.step():
                wait()
        with gpu.step():
            torch.ones(2).to(x.device, non_blocking=True)
            (x * 2 + x.new_zeros(3)).sum().backward()
        assert x.grad.device == DEVICE


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_on_cuda_learns_and_resumes(precision: str, workers: int, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use")
    data = tiny.data()
    model = network()
    terms = [Term(IdentityLoss()), Term(AdaSPLoss(), "feature", 0.5)]
    for epochs, resume in ((2, False), (4, True)):
        train(
            data,
            model,
            terms,
            IdentityBatchSampler(3, 2),
            Schedule(epochs=epochs),
            tmp_path / "run",
            precision=precision,
            workers=workers,
            log_every=1,
            resume=resume,
        )
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in logged if "loss" in line]
    assert losses[-1] < losses[0]
    encoder = load(tmp_path / "run", "cuda", trust=["tests"])
    on_cpu = load(tmp_path / "run", "cpu", trust=["tests"])
    pictures = [tiny.paint(0, 0), tiny.paint(1, 0)]
    np.testing.assert_allclose(encoder(pictures), on_cpu(pictures), atol=2e-3)
