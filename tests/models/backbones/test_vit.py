"""ViTs: any size, overlapping patches, embeddings of camera and viewpoint."""

import dataclasses
from pathlib import Path

import pytest
import timm
import torch

from reseen import checkpoint
from reseen.datasets import Synthetic
from reseen.embedding.model import embed
from reseen.loading import IdentityBatchSampler
from reseen.losses import AdaSPLoss, IdentityLoss
from reseen.models import Embedder, ModelSpec, SideInfo, ViTOptions
from reseen.models.backbones.vit import ViTBackbone, cut_patches
from reseen.training import MoReID, Schedule, Term, train
from reseen.types import Sample


def build(height: int = 64, width: int = 32, **options: object) -> ViTBackbone:
    spec = ModelSpec("timm:vit_tiny_patch16_224", height, width, vit=ViTOptions(**options))  # type: ignore[arg-type]
    network: ViTBackbone = Embedder(spec).network.backbone.eval()
    return network


def noise(count: int = 2) -> torch.Tensor:
    return torch.randn(count, 3, 64, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("height", "width", "stride", "grid"),
    # TransReID's: 16x8 patches of 256x128 without overlap, 21x10 with a stride of 12.
    [(256, 128, None, (16, 8)), (256, 128, 12, (21, 10)), (250, 125, None, (15, 7)), (64, 32, 8, (7, 3))],
)
def test_the_grid_of_patches(height: int, width: int, stride: int | None, grid: tuple[int, int]) -> None:
    network = build(height, width, patch_stride=stride)
    raw = network(torch.zeros(1, 3, height, width), SideInfo())
    assert network.map(raw).shape == (1, 192, *grid)


def test_the_whole_path_is_timms_own() -> None:
    network = build()
    with torch.no_grad():
        torch.testing.assert_close(network(noise(), SideInfo()), network.network.forward_features(noise()))


def test_at_the_patches_own_stride_and_size_nothing_changes() -> None:
    network = timm.create_model("vit_tiny_patch16_224").eval()
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    before = network(images)
    cut_patches(network, (224, 224), stride=16)
    torch.testing.assert_close(network(images), before)


def test_resampled_position_embeddings_keep_their_place() -> None:
    network = timm.create_model("vit_tiny_patch16_224")
    rows = torch.arange(14.0)[:, None].expand(14, 14).reshape(1, 196, 1)
    with torch.no_grad():
        network.pos_embed[:, :1] = 5
        network.pos_embed[:, 1:] = rows
    cut_patches(network, (256, 128), stride=12)
    grid = network.pos_embed[0, 1:, 0].view(21, 10)
    assert (network.pos_embed[:, :1] == 5).all()
    assert (grid.diff(dim=0) > 0).all()
    torch.testing.assert_close(grid, grid[:, :1].expand(21, 10), atol=1e-4, rtol=0)
    torch.testing.assert_close(grid.mean(), torch.tensor(6.5), atol=0.05, rtol=0)


@pytest.mark.parametrize(("stride", "size"), [(17, (64, 32)), (0, (64, 32)), (12, (12, 32))])
def test_impossible_patches_are_refused(stride: int, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"expected a patch_stride of|expected pictures of at least one patch"):
        build(*size, patch_stride=stride)


def test_the_side_embedding_is_added_to_every_token_before_the_blocks() -> None:
    network = build(cameras=(1, 2, 3), views=(1, 2), side_weight=2.0)
    with torch.no_grad():
        plain = network.network._pos_embed(network.network.patch_embed(noise()))
        for block in network.network.blocks[:-1]:
            block.forward = lambda x: x
        side = SideInfo(cameras=torch.tensor([0, 2]), views=torch.tensor([1, 0]))
        tokens = network._body(network.network.patch_embed(noise()), side)
        added = torch.stack([network.side[0, 1], network.side[2, 0]])[:, None]
    torch.testing.assert_close(tokens, plain + 2 * added)


def test_the_side_embedding_may_be_added_to_the_class_token_alone() -> None:
    network = build(cameras=(1, 2, 3), side_weight=2.0, side_tokens="class")
    with torch.no_grad():
        plain = network.network._pos_embed(network.network.patch_embed(noise()))
        for block in network.network.blocks[:-1]:
            block.forward = lambda x: x
        tokens = network._body(network.network.patch_embed(noise()), SideInfo(cameras=torch.tensor([0, 2])))
    torch.testing.assert_close(tokens[:, 1:], plain[:, 1:])
    torch.testing.assert_close(tokens[:, 0], plain[:, 0] + 2 * network.side[[0, 2], 0])


def test_an_unknown_camera_or_view_counts_as_the_mean_of_all() -> None:
    network = build(cameras=(1, 2, 3), views=(1, 2))
    table = network.side.detach()
    cameras, views = torch.tensor([0, 2]), torch.tensor([1, 0])
    torch.testing.assert_close(network._embed(table, SideInfo())[0, 0], table.mean((0, 1)))
    torch.testing.assert_close(network._embed(table, SideInfo(cameras=cameras))[:, 0], table[cameras].mean(1))
    torch.testing.assert_close(network._embed(table, SideInfo(views=views))[:, 0], table.mean(0)[views])
    torch.testing.assert_close(network._embed(table, SideInfo(cameras, views))[:, 0], table[cameras, views])
    some = torch.tensor([-1, 2])
    torch.testing.assert_close(network._embed(table, SideInfo(some, views))[0, 0], table[:, 1].mean(0))
    torch.testing.assert_close(network._embed(table, SideInfo(some, views))[1, 0], table[2, 0])


def test_the_camera_reaches_the_embedding_through_the_model() -> None:
    torch.manual_seed(0)
    model = Embedder(ModelSpec("timm:vit_tiny_patch16_224", 64, 32, vit=ViTOptions(cameras=(1, 2)))).eval()
    images = torch.zeros(2, 3, 64, 32, dtype=torch.uint8)
    same, other = (model.embed(images, cameras=torch.tensor(c)) for c in ([0, 0], [0, 1]))
    assert torch.equal(same[0], other[0])
    assert not torch.allclose(same[1], other[1])


def test_cameras_and_views_are_found_by_their_names() -> None:
    options = ViTOptions(cameras=("gate", 2), views=("front", "back"))
    model = Embedder(ModelSpec("timm:vit_tiny_patch16_224", 64, 32, vit=options))
    cameras = (2, "gate", None, "roof")
    samples = [Sample("", 0, camera=camera, view="back" if camera == 2 else None) for camera in cameras]
    places = {name: values.tolist() for name, values in model.side_info(samples).items()}
    assert places == {"cameras": [1, 0, -1, -1], "views": [1, -1, -1, -1]}
    with pytest.raises(ValueError, match=r"expected the camera of every training picture among .*, got .*'roof'"):
        model.side_info(samples, known=True)
    assert Embedder(ModelSpec("timm:vit_tiny_patch16_224", 64, 32)).side_info(samples) == {}
    with pytest.raises(ValueError, match="expected cameras that differ"):
        ViTOptions(cameras=(1, 1))


def test_a_network_that_is_told_cameras_trains_and_evaluates(tmp_path: Path) -> None:
    torch.manual_seed(0)
    data = Synthetic(num_train_identities=4, num_test_identities=2, num_cameras=2, images_per_camera=2, height=32)
    spec = ModelSpec("timm:test_vit", 32, 32, vit=ViTOptions(patch_stride=8, cameras=(1, 2)))
    model = Embedder(spec)
    before = model.network.backbone.side.detach().clone()
    terms = [Term(IdentityLoss()), Term(AdaSPLoss(), output="feature")]
    train(
        data,
        model,
        terms,
        IdentityBatchSampler(2, 2),
        Schedule(epochs=1),
        tmp_path,
        evaluate_every=1,
    )
    assert (model.network.backbone.side != before).any(dim=2).all()  # every camera's embedding has learned
    again = checkpoint.load(tmp_path / "last.safetensors")
    assert again.spec == spec
    told = embed(again, data.query).vectors
    untold = embed(again, [dataclasses.replace(s, camera=None) for s in data.query]).vectors
    torch.testing.assert_close(told, embed(model, data.query).vectors)
    assert not torch.allclose(told, untold, rtol=1e-3)
    with pytest.raises(ValueError, match="expected plain training of a network that is told cameras, got MoReID"):
        train(
            data, model, terms, IdentityBatchSampler(2, 2), Schedule(epochs=1), tmp_path / "other", candidates=MoReID()
        )


def test_other_networks_refuse_these_options() -> None:
    for name in ("osnet_x0_25", "timm:resnet18"):
        with pytest.raises(ValueError, match=r"expected a ViT of timm for .*; leave vit as it is"):
            Embedder(ModelSpec(name, 64, 32, vit=ViTOptions(cameras=(1, 2, 3, 4, 5, 6))))
