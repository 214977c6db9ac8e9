"""The model from uint8 pictures to outputs."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from reseen.models import Embedder, ModelSpec, ResNetOptions

SMALL = ModelSpec(backbone="osnet_x0_25", height=64, width=32)


def pictures(count: int, height: int = 64, width: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("neck", ["bnneck", "none"])
def test_outputs_have_the_shapes_that_dims_tells(neck: str) -> None:
    model = Embedder(dataclasses.replace(SMALL, neck=neck, dim=24))
    outputs = model(pictures(4))
    assert outputs.feature.shape == (4, model.dims["feature"]) == (4, 24)
    assert outputs.embedding.shape == (4, model.dims["embedding"])
    assert outputs.branches == {}
    assert torch.equal(outputs.feature, outputs.embedding) == (neck == "none")


def test_floats_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"expected uint8 RGB images .* got torch.float32 .* scales and normalises"):
        Embedder(SMALL)(pictures(2).float())


@pytest.mark.parametrize("shape", [(3, 64, 32), (2, 1, 64, 32), (2, 64, 32, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected uint8 RGB images"):
        Embedder(SMALL)(torch.zeros(shape, dtype=torch.uint8))


def test_calling_twice_gives_the_same_and_leaves_the_pictures() -> None:
    # A known defect elsewhere: normalising in place, so that a second call on the same batch sees other pixels.
    model, images = Embedder(SMALL).eval(), pictures(3)
    before = images.clone()
    first, second = model.embed(images), model.embed(images)
    assert torch.equal(images, before)
    assert torch.equal(first, second)


def test_pixels_are_scaled_and_normalised_as_the_formula_says() -> None:
    images = pictures(2)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    torch.testing.assert_close(Embedder(SMALL).pixels(images), (images.double() / 255 - mean).div(std).float())


def test_pictures_of_the_right_size_are_not_resampled_and_others_are_resized_as_pillow_does() -> None:
    pixels = Embedder(SMALL).pixels
    images = pictures(1, 100, 41)
    picture = Image.fromarray(images[0].permute(1, 2, 0).numpy())
    resized = np.asarray(picture.resize((32, 64), Image.Resampling.BILINEAR))
    expected = torch.from_numpy(resized.copy()).permute(2, 0, 1)[None]
    levels = (pixels(images) - pixels(expected)).abs() * pixels.std
    assert levels.max() <= 1 + 1e-3


def test_an_embedding_does_not_depend_on_the_rest_of_the_batch() -> None:
    model, images = Embedder(SMALL).eval(), pictures(5)
    together = model.embed(images)
    alone = torch.cat([model.embed(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.embed(images.flip(0)), together.flip(0), atol=1e-5, rtol=1e-5)


def test_embed_has_no_gradient_and_is_float32_under_autocast() -> None:
    model = Embedder(SMALL).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embedding = model.embed(pictures(2))
    assert embedding.dtype == torch.float32
    assert not embedding.requires_grad


def test_the_spec_survives_json() -> None:
    spec = ModelSpec("timm:resnet18", 128, 64, dim=5, resnet=ResNetOptions(last_stride=2))
    assert ModelSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_a_spec_refuses_unknown_fields_and_sizes_of_nothing() -> None:
    with pytest.raises(ValueError, match="got depth"):
        ModelSpec.from_dict({"depth": 50})
    with pytest.raises(ValueError, match="at least 1 pixel"):
        ModelSpec(height=0)


@pytest.mark.parametrize("name", ["resnet50", "timm:resnet5", "no.such.Thing"])
def test_unknown_backbones_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        Embedder(ModelSpec(backbone=name))


@pytest.mark.parametrize("name", ["mgm", "resnet50", "no.such.Thing"])
def test_unknown_networks_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"expected a network \(global, mgn, pcb, bdb, or .*, got '{name}'"):
        Embedder(dataclasses.replace(SMALL, network=name))


def test_a_network_is_also_named_by_its_class() -> None:
    torch.manual_seed(0)
    model = Embedder(dataclasses.replace(SMALL, network="reseen.models.PCB", dim=8)).eval()
    torch.manual_seed(0)
    assert torch.equal(
        model.embed(pictures(2)), Embedder(dataclasses.replace(SMALL, network="pcb", dim=8)).eval().embed(pictures(2))
    )
    assert ModelSpec.from_dict(model.spec.to_dict()) == model.spec


def test_the_frozen_bias_of_the_bnneck_stays_at_zero() -> None:
    model = Embedder(SMALL)
    model(pictures(4)).embedding.square().sum().backward()
    bn = model.network.neck.bn
    assert bn.bias.grad is None
    assert not bn.bias.any()
    assert bn.weight.grad is not None


def test_a_backbone_is_also_named_by_its_class() -> None:
    spec = dataclasses.replace(SMALL, backbone="reseen.models.backbones.osnet.OSNet")
    torch.manual_seed(0)
    model = Embedder(spec).eval()
    torch.manual_seed(0)
    assert torch.equal(model.embed(pictures(2)), Embedder(SMALL).eval().embed(pictures(2)))
    with pytest.raises(ValueError, match=r"expected collections.OrderedDict to be a Backbone, got OrderedDict"):
        Embedder(dataclasses.replace(SMALL, backbone="collections.OrderedDict"))
