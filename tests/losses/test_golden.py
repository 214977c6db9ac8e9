"""Values and gradients of the published codes, and of slow float64 code written from the equations."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reseen.geometry import Candidates
from reseen.losses import *  # noqa: F403

normalised = F.normalize


def plainly(loss: nn.Module, prepare: Callable[[Tensor], Tensor] = lambda x: x) -> Callable[[Tensor, Any], Tensor]:
    return lambda x, case: loss(prepare(x), case.y)


def identity_loss(smoothing: Callable[[int], float]) -> Callable[[Tensor, Any], Tensor]:
    def run(x: Tensor, case: Any) -> Tensor:
        loss = IdentityLoss(*case.weight.shape, smoothing=smoothing(len(case.weight)))
        loss.weight = nn.Parameter(case.weight.to(x.dtype))
        return loss(x, case.y)

    return run


# Golden name -> how ours computes it, and the relative tolerance in float64 and float32.
ROWS: dict[str, tuple[Callable[[Tensor, Any], Tensor], float, float]] = {
    "ce_torch_ls0.1": (identity_loss(lambda C: 0.1), 1e-10, 2e-6),
    "ce_strongbaseline_eps0.1": (identity_loss(lambda C: 0.1), 2e-7, 2e-6),  # its targets are float32 inside
    "ce_fastreid_eps0": (identity_loss(lambda C: 0.0), 1e-10, 2e-6),
    "ce_fastreid_eps0.1": (identity_loss(lambda C: 0.1 * C / (C - 1)), 2e-7, 2e-6),
    "triplet_bh_m0.3": (plainly(HardTripletLoss(0.3)), 1e-10, 2e-6),
    "triplet_bh_m0.3_norm": (plainly(HardTripletLoss(0.3), normalised), 1e-10, 2e-6),
    "triplet_bh_soft": (plainly(HardTripletLoss(None)), 1e-10, 2e-6),
    "triplet_bh_soft_norm": (plainly(HardTripletLoss(None), normalised), 1e-10, 2e-6),
    "triplet_weighted_soft": (plainly(WeightedTripletLoss()), 2e-5, 2e-5),
    **{
        f"sp-h_t{t}": (plainly(SPHLoss(t)), 1e-6 if t < 0.02 else 1e-10, 5e-5 if t < 0.02 else 2e-6)
        for t in (0.01, 0.04, 0.05)
    },
    **{
        f"sp-lh_t{t}": (plainly(SPLHLoss(t)), 1e-6 if t < 0.02 else 1e-10, 5e-5 if t < 0.02 else 2e-6)
        for t in (0.01, 0.04, 0.05)
    },
    **{
        f"adasp_t{t}": (plainly(AdaSPLoss(t)), 1e-6 if t < 0.02 else 1e-10, 5e-5 if t < 0.02 else 2e-6)
        for t in (0.01, 0.04, 0.05)
    },
}


@pytest.mark.parametrize("name", ROWS)
def test_golden(name: str, golden: dict[str, Any], case: Callable[[str], Any]) -> None:
    run, *tolerances = ROWS[name]
    for which, expected in golden[name].items():
        batch = case(which)
        for dtype, key, tolerance in zip((torch.float64, torch.float32), ("f64", "f32"), tolerances, strict=True):
            if key not in expected:
                continue
            x = batch.x.to(dtype, copy=True).requires_grad_()
            loss = run(x, batch)
            loss.backward()
            value, length = expected[key]
            assert loss.item() == pytest.approx(value, rel=tolerance, abs=1e-12 if dtype == torch.float64 else 1e-9), (
                which,
                key,
            )
            if length is not None:
                assert x.grad.norm().item() == pytest.approx(length, rel=10 * tolerance, abs=1e-7), (which, key)
