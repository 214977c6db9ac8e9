"""DINOv2, DINOv3 and SigLIP 2 by timm: sizes of re-identification, rates by layer, gradients computed again."""

import pytest
import timm
import torch

from reseen.losses import IdentityLoss
from reseen.models import Embedder, ModelSpec, SideInfo, complexity
from reseen.models.profiling import kept_bytes
from reseen.training import Objective, Schedule, Term

SMALL = {"embed_dim": 48, "depth": 3, "num_heads": 3}
KINDS = {
    "vit_small_patch14_dinov2": ((252, 126), 1 + 18 * 9),
    "vit_small_patch14_reg4_dinov2": ((252, 126), 5 + 18 * 9),
    "vit_base_patch16_siglip_256": ((256, 128), 16 * 8),
    "vit_small_patch16_dinov3": ((256, 128), 5 + 16 * 8),
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks of timm with three narrow layers: the layout is what is tested."""
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, **{**options, **SMALL}))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", KINDS)
def test_pictures_of_persons_keep_their_shape(name: str) -> None:
    size, tokens = KINDS[name]
    model = Embedder(ModelSpec(f"timm:{name}", *size, neck="none")).eval()
    images = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    backbone = model.network.backbone
    with torch.no_grad():
        raw = backbone(model.pixels(images), SideInfo())
    assert raw.shape == (2, tokens, 48)
    patch = 14 if "patch14" in name else 16
    assert backbone.map(raw).shape == (2, 48, size[0] // patch, size[1] // patch)
    assert model.embed(images).shape == (2, model.dims["embedding"])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", KINDS)
def test_costs_are_counted(name: str) -> None:
    model = Embedder(ModelSpec(f"timm:{name}", *KINDS[name][0], neck="none"))
    frozen = model.network.backbone.network.patch_embed.proj.bias.requires_grad_(False)
    (height, width), tokens = KINDS[name]
    patch = 14 if "patch14" in name else 16
    patches = (height // patch) * (width // patch) * 48 * 3 * patch**2
    layers = 3 * (12 * tokens * 48**2 + 2 * tokens**2 * 48)  # linear layers, and attention's two products
    cost = complexity(model, batch=1, repeats=1)
    # SigLIP pools by attention: keys, values and the two products of one query, what follows it, and an MLP.
    pooled = (2 * tokens + 10) * 48**2 + 2 * tokens * 48 if "siglip" in name else 0
    assert cost.flops == 2 * (patches + layers + pooled)
    assert cost.images_per_second > 0
    assert kept_bytes(model) > 0
    assert [p for p in model.parameters() if not p.requires_grad] == [frozen]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["vit_small_patch14_dinov2", "vit_small_patch14_reg4_dinov2"])
def test_positions_of_a_square_grid_are_resampled(name: str, tmp_path) -> None:
    """timm's file has 37 x 37 positions; at 518 x 518 they come as they are, at a person's shape smoothly between."""
    source = timm.create_model(name, num_classes=0)
    prefix = source.pos_embed.shape[1] - 37 * 37
    rows = torch.linspace(0, 1, 37)[:, None].expand(37, 37).reshape(1, -1, 1).expand(1, -1, 48)
    with torch.no_grad():
        source.pos_embed[:, prefix:] = rows
    torch.save(source.state_dict(), tmp_path / "w.pth")
    model = Embedder(ModelSpec(f"timm:{name}", 252, 126, neck="none", weights=str(tmp_path / "w.pth")))
    positions = model.network.backbone.network.pos_embed[0, prefix:, 0].view(18, 9).detach()
    assert (positions.diff(dim=0) > 0).all()
    torch.testing.assert_close(positions, positions[:, :1].expand(18, 9), atol=1e-3, rtol=0)


@pytest.mark.usefixtures("small")
def test_rates_fall_from_the_last_layer_to_the_first() -> None:
    model = Embedder(ModelSpec("timm:vit_small_patch16_224", 64, 32))
    objective = Objective(model, [Term(IdentityLoss())], 4)
    (optimizer,) = Schedule(learning_rate=1.0, layer_decay=0.5).optimizers(objective)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    network = model.network.backbone.network
    blocks = [rates[id(block.attn.qkv.weight)] for block in network.blocks]
    assert blocks == pytest.approx([blocks[2] / 4, blocks[2] / 2, blocks[2]])
    assert rates[id(network.patch_embed.proj.weight)] == pytest.approx(blocks[0] / 2)
    assert rates[id(objective.losses[0].weight)] == 1.0
    with pytest.raises(ValueError, match="expected a layer_decay above 0"):
        Schedule(layer_decay=0)
    with pytest.raises(ValueError, match="for learning rates by layer, got OSNet"):
        Schedule(layer_decay=0.5).optimizers(Objective(Embedder(ModelSpec()), [Term(IdentityLoss())], 4))


@pytest.mark.usefixtures("small")
def test_gradients_computed_again_are_the_same() -> None:
    torch.manual_seed(0)
    model = Embedder(ModelSpec("timm:vit_small_patch16_224", 64, 32)).eval()
    images = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8)

    def gradient() -> torch.Tensor:
        model.zero_grad()
        model(images).embedding.square().sum().backward()
        return model.network.backbone.network.blocks[0].attn.qkv.weight.grad.clone()

    usual = gradient()
    calls: list[int] = []
    model.network.backbone.network.blocks[0].register_forward_pre_hook(lambda *_: calls.append(1))
    gradient()
    once = len(calls)
    model.network.backbone.checkpoint_gradients()
    torch.testing.assert_close(gradient(), usual)
    assert len(calls) - once > once
    with pytest.raises(ValueError, match="for gradient checkpointing, got OSNet"):
        Embedder(ModelSpec()).network.backbone.checkpoint_gradients()
