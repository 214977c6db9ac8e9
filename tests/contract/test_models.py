"""Every kind of network is put to the same demands."""

import copy
import dataclasses
import json

import pytest
import torch
from tests.gpus import Gpu, PretendedGpu
from torch import Tensor

from reseen.models import Embedder, ModalityOptions, ModelSpec, Outputs, ResNetOptions, ViTOptions
from reseen.models.backbones.osnet import NAMES
from reseen.models.embedder import NETWORKS
from reseen.models.layers.necks import NECKS
from reseen.models.layers.pooling import POOLINGS

IBN_A, IBN_B = ResNetOptions(ibn="a", non_local="agw"), ResNetOptions(ibn="b", non_local="fast-reid", stem="fast-reid")
SIDE = ViTOptions(patch_stride=12, cameras=(0, 1, 2, 3), views=(0, 1))
TIMM = {
    "resnet": ModelSpec("timm:resnet18", 64, 32),
    "resnet-ibn-a": ModelSpec("timm:resnet18", 64, 32, resnet=IBN_A),
    "resnet-ibn-b": ModelSpec("timm:resnet18", 64, 32, resnet=IBN_B),
    "vit": ModelSpec("timm:vit_tiny_patch16_224", 64, 32, vit=SIDE),
    "deit": ModelSpec("timm:deit_tiny_distilled_patch16_224", 64, 32),
    "swin": ModelSpec("timm:swin_tiny_patch4_window7_224", 64, 32),
    "efficientnet": ModelSpec("timm:tf_efficientnet_lite0", 64, 32),
    "mobilenet": ModelSpec("timm:mobilenetv3_small_050", 64, 32),
}
NETS = {name: ModelSpec(name, 64, 32) for name in NAMES} | TIMM
for kind in NETWORKS:
    if kind != "global":
        for name in ("osnet_x0_25", "resnet", "vit", "efficientnet"):
            NETS[f"{kind}-{name}"] = dataclasses.replace(NETS[name], network=kind)
for neck in (*NECKS, "none"):
    NETS[f"neck-{neck}"] = ModelSpec(height=64, width=32, neck=neck, dim=32)  # type: ignore[arg-type]
for pooling in POOLINGS:
    NETS[f"pooling-{pooling}"] = ModelSpec(height=64, width=32, pooling=pooling)  # type: ignore[arg-type]
BOTH = ModalityOptions(stems=True, norms=True)
for name in ("osnet_x0_25", "resnet", "vit", "mgn-resnet"):
    NETS[f"two-{name}"] = dataclasses.replace(NETS[name], modalities=BOTH)


@pytest.fixture(scope="module", params=NETS)
def model(request: pytest.FixtureRequest) -> Embedder:
    torch.manual_seed(0)
    return Embedder(NETS[request.param])


def pictures(count: int, height: int = 64, width: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def run(model: Embedder, images: Tensor) -> Outputs:
    rows = torch.arange(len(images))
    outputs: Outputs = model(images, cameras=rows % 4, views=rows % 2, modalities=rows % 2)
    return outputs


def test_outputs_have_the_shapes_that_dims_tells(model: Embedder) -> None:
    outputs = run(model.train(), pictures(4))
    named = {"feature": outputs.feature, "embedding": outputs.embedding}
    named |= {f"branch.{name}": vectors for name, vectors in outputs.branches.items()}
    assert {name: tuple(v.shape) for name, v in named.items()} == {name: (4, dim) for name, dim in model.dims.items()}
    assert all(v.dtype == torch.float32 and torch.isfinite(v).all() for v in named.values())


def test_the_gradient_reaches_every_parameter(model: Embedder) -> None:
    model.train().zero_grad(set_to_none=True)
    outputs = run(model, pictures(4))
    (outputs.feature.square().sum() + outputs.embedding.square().sum()).backward()
    missed = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missed
    model.zero_grad(set_to_none=True)


def test_what_is_frozen_at_first_is_what_has_published_weights(model: Embedder) -> None:
    pretrained = {id(p) for p in model.pretrained_parameters()}
    rest = {name for name, p in model.named_parameters() if id(p) not in pretrained}
    assert all(n.startswith("network.") and "backbone" not in n and "tails" not in n for n in rest)


def test_evaluation_is_repeatable_and_takes_one_picture_of_any_size(model: Embedder) -> None:
    model.eval()
    for height, width in ((64, 32), (37, 91), (1, 1)):
        images = pictures(1, height, width)
        before = images.clone()
        first, second = run(model, images).embedding, run(model, images).embedding
        assert torch.equal(first, second)
        assert torch.equal(images, before)
        assert first.shape == (1, model.dims["embedding"])
        assert torch.isfinite(first).all()


def test_a_picture_does_not_see_the_rest_of_its_batch(model: Embedder) -> None:
    model.eval()
    images = pictures(4)
    # Rows 0 and 2, so that each keeps the modality it has in the batch.
    together = run(model, images).embedding[::2]
    rows = torch.tensor([0, 2])
    alone = model(images[rows], cameras=rows % 4, views=rows % 2, modalities=rows % 2).embedding
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=1e-3)


def test_floats_are_refused(model: Embedder) -> None:
    with pytest.raises(ValueError, match="expected uint8 RGB images"):
        run(model, pictures(2) / 255)


def test_spec_and_weights_make_the_model_again(model: Embedder) -> None:
    spec = ModelSpec.from_dict(json.loads(json.dumps(model.spec.to_dict())))
    again = Embedder(spec, pretrained=False).eval()
    again.load_state_dict(model.eval().state_dict())
    images = pictures(2)
    assert torch.equal(run(again, images).embedding, run(model, images).embedding)


def test_no_tensor_is_kept_twice(model: Embedder) -> None:
    # Safetensors refuses two names for one tensor.
    places = [t.data_ptr() for t in model.state_dict().values() if t.numel()]
    assert len(places) == len(set(places))


def test_a_copy_is_a_model_of_its_own(model: Embedder) -> None:
    model.eval()
    images = pictures(2)
    before = run(model, images).embedding.clone()
    twin = copy.deepcopy(model)
    assert torch.equal(run(twin, images).embedding, before)
    with torch.no_grad():
        for p in twin.parameters():
            p.add_(1)
    assert torch.equal(run(model, images).embedding, before)
    assert not torch.equal(run(twin, images).embedding, before)


# The rows of each modality are the shape of a tensor.
OF_TWO_STREAMS = ("nonzero", "index by a mask", "index_put by a mask", "_local_scalar_dense")


def test_a_gpu_gives_what_the_cpu_gives_and_is_not_waited_for(model: Embedder, gpu: Gpu) -> None:
    there = gpu.put(copy.deepcopy(model))
    images, rows = pictures(4), torch.arange(4)
    on_gpu, side = gpu.put(images), gpu.put(rows % 2)
    cameras = gpu.put(rows)
    if not isinstance(gpu, PretendedGpu):  # CUDA draws other numbers where parts are dropped.
        found = there.eval()(on_gpu, cameras=cameras, views=side, modalities=side).embedding
        gpu.close(found, run(model.eval(), images).embedding)
    model.train()
    there.train()
    torch.manual_seed(0)
    with gpu.step(OF_TWO_STREAMS if model.spec.modalities != ModalityOptions() else ()):
        outputs = there(on_gpu, cameras=cameras, views=side, modalities=side)
        (outputs.feature.square().sum() + outputs.embedding.square().sum()).backward()
    if isinstance(gpu, PretendedGpu):
        torch.manual_seed(0)
        gpu.close(outputs.embedding, run(model, images).embedding)
