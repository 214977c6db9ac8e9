"""Values and gradients of the published codes, and of slow float64 code written from the equations."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reseen.geometry import Candidates
from reseen.losses import (
    AdaSPLoss,
    CenterLoss,
    CircleLoss,
    CrossBatchMemory,
    CrossModal,
    EasyPositiveLoss,
    ExpATLoss,
    FIDILoss,
    HardContrastiveLoss,
    HardTripletLoss,
    HELoss,
    IdentityLoss,
    MultiSimilarityLoss,
    NPairLoss,
    RankedListLoss,
    SPHLoss,
    SPLHLoss,
    SupConLoss,
    WeightedTripletLoss,
)

Run = Callable[[Tensor, Any], Tensor]


def of(loss: nn.Module, *, normalised: bool = False) -> Run:
    return lambda x, case: loss(F.normalize(x) if normalised else x, case.y)


def identity_loss(smoothing: Callable[[int], float]) -> Run:
    def run(x: Tensor, case: Any) -> Tensor:
        loss = IdentityLoss(*case.weight.shape, smoothing=smoothing(len(case.weight)))
        loss.weight = nn.Parameter(case.weight.to(x.dtype))
        return loss(x, case.y)

    return run


def center_loss(x: Tensor, case: Any) -> Tensor:
    loss = CenterLoss(*case.centres.shape)
    loss.weight = nn.Parameter(case.centres.to(x.dtype))
    return loss(x, case.y)


def remembering_he(x: Tensor, case: Any) -> Tensor:
    loss = CrossBatchMemory(HELoss(), memory_size=300, dim=x.shape[1]).to(x.dtype)
    loss.memory.push(case.memory_x.to(x.dtype), case.memory_y)
    return loss(x, case.y)


def both_ways(form: str) -> Run:
    """Visible image 0 against infrared 3, its own and the next identity's, and infrared 2 against visible 1."""

    def run(x: Tensor, case: Any) -> Tensor:
        images = x.view(-1, int((case.y == 0).sum()), x.shape[1])
        identities = torch.arange(len(images)).repeat(2)
        infrared = torch.arange(2).repeat_interleave(len(images)).bool()
        own = torch.eye(len(images), dtype=torch.bool)
        others = Candidates(
            torch.cat([images[:, 3], images[:, 1]]),
            identities,
            None,
            modalities=~infrared,
            kept=(own | own.roll(1, dims=1)).repeat(2, 2),
        )
        anchors = torch.cat([images[:, 0], images[:, 2]])
        return CrossModal(ExpATLoss(form=form))(anchors, identities, others, modalities=infrared)

    return run


SPARSE = {
    f"{name}_t{t}": (of(loss(t)), 1e-6 if t == 0.01 else 1e-10, 5e-5 if t == 0.01 else 2e-6)
    for name, loss in {"sp-h": SPHLoss, "sp-lh": SPLHLoss, "adasp": AdaSPLoss}.items()
    for t in (0.01, 0.04, 0.05)
}

# Golden name -> how ours computes it, and the relative tolerances in float64 and in float32.
ROWS: dict[str, tuple[Run, float, float]] = {
    "ce_torch_ls0.1": (identity_loss(lambda C: 0.1), 1e-10, 2e-6),
    # Their targets are float32 inside.
    "ce_strongbaseline_eps0.1": (identity_loss(lambda C: 0.1), 2e-7, 2e-6),
    "ce_fastreid_eps0": (identity_loss(lambda C: 0.0), 1e-10, 2e-6),
    "ce_fastreid_eps0.1": (identity_loss(lambda C: 0.1 * C / (C - 1)), 2e-7, 2e-6),
    "triplet_bh_m0.3": (of(HardTripletLoss(0.3)), 1e-10, 2e-6),
    "triplet_bh_m0.3_norm": (of(HardTripletLoss(0.3), normalised=True), 1e-10, 2e-6),
    "triplet_bh_soft": (of(HardTripletLoss(None)), 1e-10, 2e-6),
    "triplet_bh_soft_norm": (of(HardTripletLoss(None), normalised=True), 1e-10, 2e-6),
    "triplet_bh_fastreid_m0.3": (of(HardTripletLoss(0.3)), 1e-10, 2e-6),
    "triplet_bh_fastreid_soft": (of(HardTripletLoss(None)), 1e-10, 2e-6),
    "pml_triplet_bh_m0.3_mean": (of(HardTripletLoss(0.3)), 1e-10, 2e-6),
    "pml_triplet_bh_soft_mean": (of(HardTripletLoss(None)), 1e-10, 2e-6),
    # Their softmax has 1e-6 in the denominator.
    "triplet_weighted_soft": (of(WeightedTripletLoss()), 2e-5, 2e-5),
    "triplet_wrt_agw": (of(WeightedTripletLoss()), 2e-5, 2e-5),
    **SPARSE,
    **{f"oracle_{name}": SPARSE[name] for name in ("sp-h_t0.04", "sp-lh_t0.04", "adasp_t0.04", "adasp_t0.01")},
    "circle_m0.25_g128": (of(CircleLoss()), 1e-10, 2e-6),
    "pml_circle_mean": (of(CircleLoss()), 1e-10, 2e-6),
    "ms_2_40": (of(MultiSimilarityLoss()), 1e-10, 2e-6),
    "pml_ms_2_40_miner0.1": (of(MultiSimilarityLoss()), 1e-10, 2e-6),
    "supcon_t0.07": (of(SupConLoss()), 1e-10, 2e-6),
    "pml_supcon_t0.07": (of(SupConLoss()), 1e-10, 2e-6),
    "ep_s0.1": (of(EasyPositiveLoss()), 1e-10, 2e-6),
    "expat_rgb": (of(ExpATLoss(form="exp_mean")), 2e-7, 2e-6),
    "expat_bidir": (both_ways("exp_mean"), 2e-7, 2e-6),
    "oracle_expat_mean_exp": (of(ExpATLoss()), 1e-10, 2e-6),
    "oracle_expat_exp_mean": (of(ExpATLoss(form="exp_mean")), 1e-10, 2e-6),
    "oracle_expat_bidir_mean_exp": (both_ways("mean_exp"), 1e-10, 2e-6),
    "oracle_expat_bidir_exp_mean": (both_ways("exp_mean"), 1e-10, 2e-6),
    "center_strongbaseline": (center_loss, 1e-10, 2e-6),
    "center_expat": (center_loss, 1e-10, 2e-6),
    "pml_contrastive_bh_m1_mean": (of(HardContrastiveLoss()), 1e-10, 2e-6),
    "oracle_bcl_m1_norm": (of(HardContrastiveLoss()), 1e-10, 2e-6),
    "oracle_fidi_mean": (of(FIDILoss()), 1e-10, 2e-6),
    "oracle_fidi_mean_norm": (of(FIDILoss(), normalised=True), 1e-10, 2e-6),
    "oracle_fidi_mean_a2_b1": (of(FIDILoss(2.0, 1.0)), 1e-10, 2e-6),
    "oracle_he_batch": (of(HELoss()), 1e-10, 2e-6),
    "oracle_he_memory": (remembering_he, 1e-10, 2e-6),
    "oracle_he_cosine": (of(HELoss("cosine")), 1e-10, 2e-6),
    "oracle_npair15_dist": (of(NPairLoss()), 1e-10, 2e-6),
    "oracle_npair15_dot": (of(NPairLoss(metric="inner_product")), 1e-10, 2e-6),
    "oracle_rll_a1.2_m0.4_t10": (of(RankedListLoss()), 1e-10, 2e-6),
    "oracle_rll_a1.2_m0.4_t1": (of(RankedListLoss(temperature=1.0)), 1e-10, 2e-6),
}


def test_every_golden_value_is_used(golden: dict[str, Any]) -> None:
    assert set(golden) - set(ROWS) == {"triplet_bh_fastreid_soft_normfeat"}  # squared distances: another loss


@pytest.mark.parametrize("name", ROWS)
def test_golden(name: str, golden: dict[str, Any], case: Callable[[str], Any]) -> None:
    run, *tolerances = ROWS[name]
    for which, expected in golden[name].items():
        batch = case(which)
        for dtype, key, tolerance in zip((torch.float64, torch.float32), ("f64", "f32"), tolerances, strict=True):
            if key not in expected:
                continue
            value, length = expected[key]
            x = batch.x.to(dtype, copy=True).requires_grad_()
            loss = run(x, batch)
            loss.backward()
            # float32 similarities carry an error of 1e-7 of their own, which counts where the loss is nearly 0.
            smallest = 1e-12 if dtype == torch.float64 else 1e-8
            assert loss.item() == pytest.approx(value, rel=tolerance, abs=smallest), (which, key)
            if length is not None:
                assert x.grad.norm().item() == pytest.approx(length, rel=10 * tolerance, abs=10 * smallest), (
                    which,
                    key,
                )
