import json
import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import reseen
from reseen import checkpoint
from reseen.errors import CheckpointError, ReseenError, TrustError, WriteError
from reseen.models import Embedder, ModelSpec

SPEC = ModelSpec(height=32, width=16)
IMAGES = torch.randint(0, 256, (2, 3, 32, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def model() -> Embedder:
    torch.manual_seed(0)
    return Embedder(SPEC).eval()


@pytest.fixture
def path(tmp_path: Path, model: Embedder) -> Path:
    checkpoint.save(tmp_path / "a.safetensors", model, provenance={"step": 7}, config="seed: 0\n")
    return tmp_path / "a.safetensors"


def test_a_model_comes_back_as_it_was(path: Path, model: Embedder) -> None:
    loaded = checkpoint.load(path)
    assert loaded.spec == SPEC
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert torch.equal(loaded.embed(IMAGES), model.embed(IMAGES))


def test_a_checkpoint_says_what_it_is_without_its_weights_being_read(path: Path) -> None:
    description = checkpoint.describe(path)
    assert description.spec == SPEC
    assert description.config == "seed: 0\n"
    assert description.provenance["step"] == 7
    assert description.provenance["torch"] == torch.__version__


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no such file"):
        checkpoint.load(tmp_path / "b.safetensors")


@pytest.mark.parametrize("keep", [0.0, 0.001, 0.5, 0.999])
def test_a_file_cut_short_is_refused_in_one_line(path: Path, keep: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(CheckpointError, match=r"damaged or shortened") as caught:
        checkpoint.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tensors_without_a_description_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="without its description"):
        checkpoint.load(tmp_path / "b.safetensors")


def test_weights_of_another_network_are_refused_in_one_line(path: Path, model: Embedder, tmp_path: Path) -> None:
    other = ModelSpec(backbone="osnet_x0_5", height=32, width=16)
    metadata = {"format": checkpoint.FORMAT, "spec": json.dumps(other.to_dict())}
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "b.safetensors", metadata)
    with pytest.raises(CheckpointError, match="those of another network") as caught:
        checkpoint.load(tmp_path / "b.safetensors", unchecked=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        *("{", "[]", "null", "3", '"osnet_x0_25"', '{"wings": 2}', "[" * 100_000, '{"resnet": null}', '{"vit": []}'),
        *(f'{{"backbone": {value}}}' for value in ('"no_such_network"', "3", "null", "[]", "{}", '""', '"timm:"')),
        *(
            f'{{"height": {value}}}'
            for value in ("1.5", "true", '"64"', "0", "-1", "1e9", "10000000000", "null", "NaN")
        ),
        *(f'{{"{name}": {value}}}' for name in ("neck", "network", "pooling") for value in ('"wings"', "1", "[1]")),
        *('{"dim": 1e400}', '{"dim": 10000000000000}', '{"resnet": {"last_stride": 3}}', '{"resnet": {"ibn": 1}}'),
        *('{"vit": {"cameras": []}}', '{"vit": {"cameras": [1, 1]}}', '{"vit": {"cameras": [[1]]}}'),
        *('{"vit": {"patch_stride": 0}, "backbone": "timm:vit_tiny_patch16_224"}', '{"vit": {"drop_path": NaN}}'),
        *('{"modalities": {"stems": 1}}', '{"modalities": 1}', '{"weights": 1}'),
    ],
)
def test_a_description_that_is_not_understood_is_refused(spec: str, tmp_path: Path) -> None:
    metadata = {"format": checkpoint.FORMAT, "spec": spec}
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors", metadata)
    with pytest.raises(
        CheckpointError, match=r"this version of reseen knows in .*b\.safetensors|can be built"
    ) as caught:
        checkpoint.load(tmp_path / "b.safetensors", unchecked=True)
    assert "\n" not in str(caught.value)


def test_initialising_takes_what_fits_and_lists_the_rest(path: Path, model: Embedder) -> None:
    torch.manual_seed(1)
    other = Embedder(ModelSpec(height=64, width=32, dim=16))
    report = checkpoint.initialise(other, path)
    ours, theirs = other.state_dict(), model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in report.used)
    assert report.kept
    assert all(n not in theirs or theirs[n].shape != ours[n].shape for n in report.kept)
    assert set(report.used) | set(report.kept) == set(ours)
    assert set(report.left) == set(theirs) - set(report.used)


def test_initialising_with_nothing_that_fits_is_refused(tmp_path: Path, model: Embedder) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "b.pth")
    with pytest.raises(CheckpointError, match="none of which fits"):
        checkpoint.initialise(model, tmp_path / "b.pth")


def test_on_a_full_disk_the_file_before_stays(path: Path, model: Embedder) -> None:
    """The system is told to let no file grow beyond a limit, and answers as a full disk does."""
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(WriteError, match="what was there before is intact"):
            checkpoint.save(path, model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, model: Embedder) -> None:
    with pytest.raises(WriteError, match="No such file or directory"):
        checkpoint.save(tmp_path / "none" / "a.safetensors", model)


def test_a_runs_folder_stands_for_its_last_weights(path: Path, model: Embedder) -> None:
    with pytest.raises(CheckpointError, match=r"expected last\.safetensors in .*, found a\.safetensors; train a run"):
        checkpoint.load(path.parent)
    path.rename(path.parent / "last.safetensors")
    assert checkpoint.load(path.parent).spec == SPEC
    assert checkpoint.describe(path.parent).provenance["step"] == 7


FOREIGN = (
    *("os.abort", "sys.exit", "helper.net", "helper.Net", "..x", "torch.nn.Linear", "reseen.cli.main", "tests2.x.Y"),
    *("timm:hf_hub:owner/name", "timm:hf-hub:owner/name", "timm:local-dir:/tmp", "reseen.models.Embedder"),
)


@pytest.mark.parametrize("field", ["backbone", "network"])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_runs_no_code(name: str, field: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helper.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')\ndef net(): pass\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    metadata = {"format": checkpoint.FORMAT, "spec": json.dumps({field: name})}
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors", metadata)
    for read in (checkpoint.load, reseen.load):
        with pytest.raises(ReseenError, match=r"b\.safetensors") as caught:
            read(tmp_path / "b.safetensors", unchecked=True)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "RAN").exists()


def test_a_backbone_of_a_trusted_package_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESEEN_TRUST")
    path = tmp_path / "a.safetensors"
    checkpoint.save(path, Embedder(ModelSpec("tests.training.tiny.Tiny", 32, 16)))
    for trust in ((), ["test"], ["tests.training.tin"]):
        with pytest.raises(TrustError, match="say --trust tests"):
            checkpoint.load(path, trust=trust)
    for trust in (["tests"], ["other", "tests.training.tiny"], ["tests.training.tiny.Tiny"]):
        assert checkpoint.load(path, trust=trust).spec.backbone == "tests.training.tiny.Tiny"
        assert reseen.load(path, trust=trust).size == (32, 16)
    monkeypatch.setenv("RESEEN_TRUST", "other,tests")
    assert checkpoint.load(path).spec.height == 32


def test_what_a_trusted_package_names_is_looked_at_before_it_is_called(tmp_path: Path) -> None:
    own = {"backbone": "reseen.models.backbones.base.Backbone", "network": "reseen.models.networks.base.Network"}
    for field, whole in own.items():
        for name in ("os.abort", "torch.nn.Linear", whole):
            metadata = {"format": checkpoint.FORMAT, "spec": json.dumps({field: name})}
            save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors", metadata)
            with pytest.raises(CheckpointError, match=rf"expected {name} to be a (whole )?{field.title()}"):
                checkpoint.load(tmp_path / "b.safetensors", unchecked=True, trust=["os", "torch"])


def test_a_flipped_bit_is_never_taken(path: Path) -> None:
    """All over the file: its header, its description, its tensors."""
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    generator = np.random.default_rng(0)
    places = [*generator.integers(header, size=40), *generator.integers(header, len(whole), size=40)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(generator.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            checkpoint.load(path)
    path.write_bytes(whole)
    checkpoint.load(path)


def test_a_file_without_a_digest_is_read_where_the_user_says_so(
    path: Path, model: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = {"format": checkpoint.FORMAT, "spec": json.dumps(SPEC.to_dict())}
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "b.safetensors", metadata)
    for read in (checkpoint.load, checkpoint.describe, reseen.load):
        with pytest.raises(CheckpointError, match="say --unchecked true"):
            read(tmp_path / "b.safetensors")
    assert torch.equal(checkpoint.load(tmp_path / "b.safetensors", unchecked=True).embed(IMAGES), model.embed(IMAGES))
    monkeypatch.setenv("RESEEN_UNCHECKED", "1")
    assert reseen.load(tmp_path / "b.safetensors").dim == model.dims["embedding"]
