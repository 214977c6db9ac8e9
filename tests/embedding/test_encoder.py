"""An encoder takes anything that is a picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import reseen
from reseen import checkpoint
from reseen.embedding.encoder import TorchEncoder
from reseen.embedding.model import embed
from reseen.errors import CheckpointError, DataError
from reseen.loading import test_transform as as_tested
from reseen.models import Embedder, ModelSpec
from reseen.pictures import digest, resized, thumbnail
from reseen.types import Sample


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    torch.manual_seed(0)
    return TorchEncoder(Embedder(ModelSpec("tests.training.tiny.Tiny", height=16, width=8)), "cpu")


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 22, 3), dtype=np.uint8)


def test_every_kind_of_picture_gives_the_same_vector(encoder: TorchEncoder, pixels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    kinds = [pixels, Image.fromarray(pixels), tmp_path / "a.png", str(tmp_path / "a.png"), pixels[:, ::-1][:, ::-1]]
    vectors = encoder(kinds)
    assert vectors.shape == (5, encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, vectors[:1].repeat(5, 0), atol=1e-6)


def test_a_run_is_loaded_by_its_folder(encoder: TorchEncoder, pixels: np.ndarray, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "last.safetensors", encoder.model)
    for path in (tmp_path, str(tmp_path / "last.safetensors")):
        loaded = reseen.load(path, "cpu")
        assert loaded.fingerprint == encoder.fingerprint
        np.testing.assert_array_equal(loaded([pixels]), encoder([pixels]))
    with pytest.raises(CheckpointError, match="nowhere"):
        reseen.load(tmp_path / "nowhere")


def test_batches_do_not_matter_and_iterators_are_read_a_batch_at_a_time(encoder: TorchEncoder, pixels) -> None:
    shown = [np.roll(pixels, n, 0) for n in range(7)]
    taken = []

    def one_by_one():
        for number, picture in enumerate(shown):
            taken.append(number)
            yield picture

    encoded: list[int] = []
    encode = encoder.encode
    encoder.encode = lambda images: (encoded.append(len(taken)), encode(images))[1]  # type: ignore[method-assign]
    vectors = encoder(one_by_one(), batch_size=3)
    del encoder.encode  # type: ignore[attr-defined]
    assert encoded == [3, 6, 7]
    np.testing.assert_allclose(vectors, encoder(shown), atol=1e-5)
    assert encoder([]).shape == (0, encoder.dim)


def test_the_resize_is_that_of_the_tests_within_one_level(pixels: np.ndarray) -> None:
    for size in ((16, 8), (64, 32), (40, 22), (41, 21)):
        expected = as_tested(size)(torch.from_numpy(pixels).permute(2, 0, 1)).permute(1, 2, 0).numpy()
        assert np.abs(resized(pixels, size).astype(int) - expected).max() <= 1


def test_what_is_no_picture_is_named(encoder: TorchEncoder, pixels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        encoder([tmp_path / "none.png"])
    (tmp_path / "cut.jpg").write_bytes(thumbnail(pixels)[:300])
    with pytest.raises(DataError, match=r"cut.jpg, got: .*; replace it"):
        encoder([tmp_path / "cut.jpg"])
    for wrong in (pixels.astype(float), pixels[..., 0], pixels[None], pixels[:0]):
        with pytest.raises(ValueError, match=r"expected a picture of uint8 RGB \(H, W, 3\)"):
            encoder([wrong])


def test_digests_name_pixels_not_files(pixels: np.ndarray) -> None:
    assert digest(pixels) == digest(pixels.copy()) == digest(np.asfortranarray(pixels))
    assert digest(pixels) != digest(pixels[::-1])
    assert digest(pixels) != digest(pixels.reshape(22, 40, 3))


def test_a_network_that_cannot_take_its_own_size_is_named() -> None:
    """A file may say so: a row of pixels is too few for a kernel of five."""
    encoder = TorchEncoder(Embedder(ModelSpec("tests.training.tiny.Tiny", height=1, width=8)), "cpu")
    with pytest.raises(CheckpointError, match=r"expected a network that takes pictures of 1 x 8 pixels, got: .*Kernel"):
        encoder([np.zeros((4, 4, 3), np.uint8)])
    with pytest.raises(CheckpointError, match="expected a network that takes pictures of 1 x 8 pixels"):
        embed(encoder.model, [Sample("drawn", 1, draw=lambda: np.zeros((4, 4, 3), np.uint8))])
