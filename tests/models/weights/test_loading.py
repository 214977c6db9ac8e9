"""Checkpoints under other projects' names: recognised, converted, and giving the features that they should."""

import argparse
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch import Tensor

from reseen.errors import CheckpointError
from reseen.models import Embedder, ModalityOptions, ModelSpec, ResNetOptions, ViTOptions, WeightsReport
from reseen.models.weights import load_weights
from reseen.models.weights.formats import format_of

Names = Callable[[str], str]
IMAGES = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def trained(spec: ModelSpec) -> Embedder:
    """Return a model none of whose tensors is at its first value."""
    model = Embedder(spec).eval()
    generator = torch.Generator().manual_seed(1)
    for name, tensor in model.network.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator) - 0.5
            tensor.copy_(tensor + (noise if "running_var" in name else 0.02 * noise))
    return model


def published(model: Embedder, name: Names, **more: Tensor) -> dict[str, Tensor]:
    """Return the tensors under another project's names."""
    return {name(n): t.clone() for n, t in model.network.state_dict().items()} | more


def loaded(spec: ModelSpec, tensors: object, folder: Path) -> tuple[Embedder, WeightsReport]:
    torch.save(tensors, folder / "w.pth")
    model = Embedder(dataclasses.replace(spec, weights=str(folder / "w.pth"))).eval()
    assert model.report is not None
    return model, model.report


def same(first: Embedder, second: Embedder) -> None:
    a, b = first(IMAGES), second(IMAGES)
    torch.testing.assert_close(a.feature, b.feature)
    torch.testing.assert_close(a.embedding, b.embedding)


def strong_baseline(name: str) -> str:
    name = name.replace("backbone.network.", "base.")
    return name.replace("neck.bn.", "bottleneck.")


def fast_reid(name: str) -> str:
    name = name.replace("backbone.network.", "backbone.").replace("pooling.p", "heads.pool_layer.p")
    name = name.replace("neck.bn.", "heads.bottleneck.0.")
    if found := re.fullmatch(r"backbone\.layer(\d)\.(\d)\.act3\.non_local\.(.*)", name):
        stage, block, rest = found.groups()
        return f"backbone.NL_{stage}.{block}.{rest}"
    return name.replace("act3.act.", "")


def test_strong_baseline(tmp_path: Path) -> None:
    spec = ModelSpec("timm:resnet18", 64, 32, resnet=ResNetOptions(stem="strong-baseline"))
    model = trained(spec)
    tensors = published(model, strong_baseline, **{"classifier.weight": torch.zeros(751, 512)})
    found, report = loaded(spec, tensors, tmp_path)
    same(model, found)
    assert report.format == "strong-baseline"
    assert report.left == ("classifier.weight",)
    assert report.renamed["base.conv1.weight"] == "conv1.weight"
    assert report.renamed["bottleneck.running_mean"] == "neck.bn.running_mean"
    assert len(report.used) == len(tensors) - 1


def test_exp_at_across_modalities(tmp_path: Path) -> None:
    """As its RGB-infrared code saves: several networks side by side, each made for several GPUs, and an optimiser."""
    spec = ModelSpec("timm:resnet18", 64, 32, neck="common", modalities=ModalityOptions(norms=True))
    model = trained(spec)
    tensors = model.network.state_dict()

    def part(here: str, there: str) -> dict[str, Tensor]:
        return {n.replace(here, f"module.{there}"): t.clone() for n, t in tensors.items() if n.startswith(here)}

    saved = {
        "feature_generator": part("backbone.network.", "base."),
        "feature_embedder_rgb": part("neck.bn.norms.0.", "bottleneck."),
        "feature_embedder_ir": part("neck.bn.norms.1.", "bottleneck."),
        "id_classifier": {"module.classifier.weight": torch.zeros(296, 512)},
        "clock": 30_000,
        "epoch_count": 11,
        "opt_G": {"state": {0: {"step": 1, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 3e-4}]},
    }
    found, report = loaded(spec, saved, tmp_path)
    assert (report.format, report.left, report.kept) == ("expAT", ("id_classifier.classifier.weight",), ())
    assert report.renamed["feature_embedder_ir.bottleneck.weight"] == "neck.bn.norms.1.weight"
    for modality in (0, 1):
        modalities = torch.full((2,), modality)
        first, second = (m(IMAGES, modalities=modalities).embedding for m in (model, found))
        torch.testing.assert_close(first, second)
    assert not torch.equal(found(IMAGES, modalities=torch.zeros(2, dtype=torch.int64)).embedding, first)


def test_the_stem_that_weights_were_trained_with_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spec = ModelSpec("timm:resnet18", 64, 32)
    tensors = published(trained(spec), strong_baseline)
    loaded(spec, tensors, tmp_path)
    assert "set resnet.stem" in caplog.text
    caplog.clear()
    loaded(dataclasses.replace(spec, resnet=ResNetOptions(stem="strong-baseline")), tensors, tmp_path)
    assert "set resnet.stem" not in caplog.text


def test_fast_reid_sbs_with_ibn_non_local_and_gem(tmp_path: Path) -> None:
    options = ResNetOptions(ibn="a", non_local="fast-reid", stem="fast-reid")
    spec = ModelSpec("timm:resnet26", 64, 32, pooling="gem", resnet=options)
    model = trained(spec)
    more = {"pixel_mean": torch.zeros(1, 3, 1, 1), "heads.weight": torch.zeros(9, 2048)}
    tensors = published(model, fast_reid, **more)
    assert {"backbone.NL_2.0.theta.weight", "backbone.layer1.0.bn1.IN.weight", "heads.pool_layer.p"} < set(tensors)
    found, report = loaded(spec, {"model": tensors}, tmp_path)
    same(model, found)
    assert report.format == "fast-reid"
    assert set(report.left) == set(more)
    assert not report.kept


def test_fast_reid_with_a_reduction(tmp_path: Path) -> None:
    spec = ModelSpec("timm:resnet18", 64, 32, dim=16, resnet=ResNetOptions(stem="fast-reid"))
    model = trained(spec)
    tensors = published(model, lambda n: fast_reid(n).replace("heads.bottleneck.0.", "heads.bottleneck.1."))
    tensors["heads.bottleneck.0.weight"] = tensors.pop("reduction.weight")[:, :, None, None]
    found, report = loaded(spec, tensors, tmp_path)
    same(model, found)
    assert report.renamed["heads.bottleneck.0.weight"] == "reduction.weight"


def test_a_head_that_the_model_does_not_have_is_left(tmp_path: Path) -> None:
    model = trained(ModelSpec("timm:resnet18", 64, 32, pooling="gem", resnet=ResNetOptions(stem="fast-reid")))
    spec = ModelSpec("timm:resnet18", 64, 32, neck="none", resnet=ResNetOptions(stem="fast-reid"))
    _, report = loaded(spec, published(model, fast_reid), tmp_path)
    assert "heads.pool_layer.p" in report.left
    assert "heads.bottleneck.0.weight" in report.left
    assert not any(n.startswith("heads.") for n in report.renamed)


RESNET = ModelSpec("timm:resnet18", 64, 32, neck="none")
OSNET = ModelSpec("osnet_x0_25", 64, 32, neck="none")


def bare(name: str) -> str:
    return name.removeprefix("backbone.").removeprefix("network.")


WRAPPED: dict[str, tuple[ModelSpec, Callable[[dict[str, Tensor]], object]]] = {
    "torchreid": (
        OSNET,
        lambda own: {
            "state_dict": {**own, "classifier.weight": torch.zeros(5, 512), "classifier.bias": torch.zeros(5)},
            "epoch": 250,
            "rank1": np.float64(0.9),
            "mAP": np.float32(0.7),
            "optimizer": {
                "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}},
                "param_groups": [{"lr": np.float64(1)}],
            },
        },
    ),
    "torchreid, data parallel": (OSNET, lambda own: {"state_dict": {f"module.{n}": t for n, t in own.items()}}),
    "layumi": (
        RESNET,
        lambda own: {
            **{f"model.{n}": t for n, t in own.items()},
            **{"model.fc.weight": torch.zeros(1000, 512), "model.fc.bias": torch.zeros(1000)},
            **{"classifier.add_block.0.weight": torch.zeros(512, 512), "classifier.classifier.0.bias": torch.zeros(9)},
        },
    ),
    "MoCo": (
        RESNET,
        lambda own: {
            "epoch": 200,
            "arch": "resnet18",
            "state_dict": {
                **{f"module.encoder_q.{n}": t for n, t in own.items()},
                **{f"module.encoder_q.fc.{n}.weight": torch.zeros(2, 2) for n in (0, 2)},
                **{f"module.encoder_k.{n}": torch.zeros_like(t) for n, t in own.items()},
                **{"module.queue": torch.zeros(2, 8), "module.queue_ptr": torch.zeros(1)},
            },
        },
    ),
    "Lightning, one network": (
        OSNET,
        lambda own: {
            "pytorch-lightning_version": "2.4.0",
            "hyper_parameters": argparse.Namespace(lr=0.1),
            "state_dict": {**{f"model.{n}": t for n, t in own.items()}, "loss.centers": torch.zeros(3, 512)},
        },
    ),
    "Lightning, backbone and head": (
        RESNET,
        lambda own: {
            "state_dict": {
                **{f"model.backbone.{n}": t for n, t in own.items()},
                **{"model.head.weight": torch.zeros(9, 512), "criterion.weight": torch.zeros(9, 512)},
            },
        },
    ),
    "compiled": (OSNET, lambda own: {f"_orig_mod.{n}": t for n, t in own.items()}),
    "mmpretrain": (
        RESNET,
        lambda own: {
            "meta": {"epoch": 3},
            "state_dict": {
                **{f"backbone.{n}": t for n, t in own.items()},
                **{"head.fcs.0.fc.weight": torch.zeros(9, 512), "head.bn.running_mean": torch.zeros(9)},
            },
        },
    ),
    "a ResNet called base": (
        RESNET,
        lambda own: {**{f"base.{n}": t for n, t in own.items()}, "classifier.weight": torch.zeros(9, 512)},
    ),
}


@pytest.mark.parametrize("kind", WRAPPED)
def test_a_network_inside_of_another_is_found(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """As training programs leave it; and nothing is advised, since these networks differ from timm's in nothing."""
    spec, wrap = WRAPPED[kind]
    model = trained(spec)
    own = published(model, bare)
    found, report = loaded(spec, wrap(own), tmp_path)
    torch.testing.assert_close(found(IMAGES).feature, model(IMAGES).feature)
    assert len(report.used) == len(own)
    assert not report.kept
    assert "set resnet.stem" not in caplog.text


def test_an_efficientnet_is_not_taken_for_a_lite_one() -> None:
    """Both have this name; the other normalisation belongs to the Lite ones, which have no squeezing and exciting."""
    lite = ["_conv_stem.weight", "_blocks.0._depthwise_conv.weight", "_fc.bias"]
    assert format_of(lite).name == "EfficientNet-Lite"
    assert format_of([*lite, "_blocks.0._se_reduce.weight"]).normalisation is None


@pytest.mark.parametrize("ibn", ["a", "b"])
def test_ibn_net(tmp_path: Path, ibn: str) -> None:
    options = ResNetOptions(ibn=ibn)  # type: ignore[arg-type]
    spec = ModelSpec("timm:resnet26", 64, 32, neck="none", resnet=options)
    model = trained(spec)

    def name(own: str) -> str:
        own = own.replace("backbone.network.", "module.")
        return own.replace("act3.IN.", "IN.")

    tensors = published(
        model, name, **{"module.fc.weight": torch.zeros(1000, 2048), "module.fc.bias": torch.zeros(1000)}
    )
    key = "module.layer1.0.bn1.IN.weight" if ibn == "a" else "module.layer1.1.IN.weight"
    assert key in tensors
    found, report = loaded(spec, {"state_dict": tensors}, tmp_path)
    same(model, found)
    assert report.format == "IBN-Net"
    assert report.left == ("fc.weight", "fc.bias")


def test_weights_without_non_local_blocks_start_a_network_with_them(tmp_path: Path) -> None:
    plain = trained(ModelSpec("timm:resnet26", 64, 32, neck="none"))
    tensors = published(plain, lambda n: n.replace("backbone.network.", ""))
    spec = ModelSpec("timm:resnet26", 64, 32, neck="none", resnet=ResNetOptions(non_local="agw"))
    found, report = loaded(spec, tensors, tmp_path)
    same(plain, found)
    assert report.kept
    assert all(".non_local." in n for n in report.kept)


VIT = ModelSpec("timm:vit_tiny_patch16_224", 64, 32, vit=ViTOptions(patch_stride=12, cameras=(1, 2, 3), views=(1, 2)))


def trans_reid(name: str) -> str:
    name = name.replace("backbone.side", "base.sie_embed").replace("backbone.network.", "base.")
    return name.replace("neck.bn.", "bottleneck.")


def test_trans_reid_with_overlap_cameras_and_views(tmp_path: Path) -> None:
    model = trained(VIT)
    tensors = published(
        model, trans_reid, **{"classifier.weight": torch.zeros(5, 192), "base.fc.weight": torch.zeros(9, 192)}
    )
    # There a row of the table is camera * views + view.
    tensors["base.sie_embed"] = tensors["base.sie_embed"].reshape(6, 1, 192)
    found, report = loaded(VIT, tensors, tmp_path)
    side = {"cameras": torch.tensor([2, 0]), "views": torch.tensor([1, 0])}
    torch.testing.assert_close(found.embed(IMAGES, **side), model.embed(IMAGES, **side))
    torch.testing.assert_close(found.network.backbone.side[2, 1], tensors["base.sie_embed"][2 * 2 + 1, 0])
    assert report.format == "TransReID"
    assert set(report.left) == {"classifier.weight", "base.fc.weight"}


def test_trans_reid_with_local_features_ends_in_its_global_branch(tmp_path: Path) -> None:
    model = trained(VIT)
    tensors = published(model, trans_reid)
    last = [n for n in tensors if n.startswith(("base.blocks.11.", "base.norm."))]
    for name in last:
        branch = name.replace("base.blocks.11.", "b1.0.").replace("base.norm.", "b1.1.")
        tensors[branch] = tensors[name].clone()
        tensors[branch.replace("b1.", "b2.", 1)] = torch.zeros_like(tensors[name])
        tensors[name] = torch.zeros_like(tensors[name])
    tensors["bottleneck_1.weight"] = torch.zeros(192)
    found, report = loaded(VIT, tensors, tmp_path)
    same(model, found)
    assert set(last) < set(report.left)
    assert {"bottleneck_1.weight", "b2.1.weight"} < set(report.left)


def test_position_embeddings_of_a_square_grid_are_resampled(tmp_path: Path) -> None:
    square = trained(ModelSpec("timm:vit_tiny_patch16_224", 224, 224, neck="none"))
    tensors = published(square, lambda n: n.replace("backbone.network.", ""))
    tensors["pos_embed"][:, 1:] = torch.arange(14.0)[None, :, None, None].expand(1, 14, 14, 192).reshape(1, 196, 192)
    spec = ModelSpec("timm:vit_tiny_patch16_224", 256, 128, neck="none")
    found, _ = loaded(spec, tensors, tmp_path)
    grid = found.network.backbone.network.pos_embed[0, 1:, 0].view(16, 8)
    assert (grid.diff(dim=0) > 0).all()
    torch.testing.assert_close(grid, grid[:, :1].expand(16, 8), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["osnet_x0_25", "timm:resnet18"])
def test_a_checkpoint_of_this_library_starts_another_network_on_its_backbone(tmp_path: Path, name: str) -> None:
    spec = ModelSpec(name, 64, 32)
    model = trained(spec)
    found, report = loaded(spec, model.state_dict(), tmp_path)
    same(model, found)
    assert report.format == "reseen"
    assert set(report.left) == {"pixels.mean", "pixels.std"}
    other, _ = loaded(dataclasses.replace(spec, network="pcb", neck="none"), model.state_dict(), tmp_path)
    # Without a head the other network has fewer parameters, in the same order.
    pairs = zip(other.pretrained_parameters(), model.pretrained_parameters(), strict=False)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize("other", ["osnet_x0_5", "timm:resnet18", "timm:vit_tiny_patch16_224"])
def test_weights_of_another_network_are_refused_in_one_line(tmp_path: Path, other: str) -> None:
    tensors = published(trained(ModelSpec(height=64, width=32)), lambda n: n.replace("backbone.", ""))
    with pytest.raises(CheckpointError, match=r"got those of another network: .* choose the backbone") as error:
        loaded(ModelSpec(other, 64, 32), tensors, tmp_path)
    assert "\n" not in str(error.value)


def test_a_tensor_too_many_is_refused(tmp_path: Path) -> None:
    spec = ModelSpec(height=64, width=32, neck="none")
    tensors = published(trained(spec), lambda n: n.replace("backbone.", ""), **{"conv6.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"1 unknown \(conv6.weight\)"):
        loaded(spec, tensors, tmp_path)


def test_nothing_is_changed_by_weights_that_are_refused() -> None:
    model = Embedder(ModelSpec(height=64, width=32))
    before = {n: t.clone() for n, t in model.state_dict().items()}
    with pytest.raises(CheckpointError):
        load_weights(
            model, {n: torch.zeros_like(t) for n, t in before.items() if n != "network.neck.bn.weight"}, source="half"
        )
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_the_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise OSError("cannot find the requested files\nin the local cache")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(CheckpointError, match="expected timm's weights of resnet18 from the hub, got OSError") as error:
        Embedder(ModelSpec("timm:resnet18", weights="imagenet"))
    assert "\n" not in str(error.value)


def test_the_hubs_weights_are_accounted_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = timm.create_model

    def online(name: str, *, pretrained: bool, **options: object) -> object:
        assert pretrained
        return made(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", online)
    options = ResNetOptions(non_local="agw")
    report = Embedder(ModelSpec("timm:resnet18", 64, 32, weights="imagenet", resnet=options)).report
    assert report is not None
    assert len(report.used) == len(made("resnet18", num_classes=0).state_dict())
    assert report.kept
    assert all(".non_local." in n for n in report.kept)


def test_only_timm_has_weights_of_imagenet() -> None:
    with pytest.raises(ValueError, match="expected a network of timm for weights 'imagenet'"):
        Embedder(ModelSpec(weights="imagenet"))


def test_weights_are_not_fetched_where_a_checkpoint_follows() -> None:
    assert Embedder(ModelSpec(weights="/no/such/file"), pretrained=False).report is None
