"""Embedding, against the model called by hand, and what becomes of it on the disk."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.embedding import embed, embed_to, open_embeddings
from reseen.errors import DataError, RunError
from reseen.evaluation import evaluate
from reseen.models import ModelSpec
from reseen.models.spec import ModalityOptions
from reseen.protocols import cross_camera
from reseen.samples import Sample


class Tiny(nn.Module):
    """An embedder in name and manner: a grid of colours through one matrix."""

    def __init__(self, *, modalities: bool = False) -> None:
        super().__init__()
        self.spec = ModelSpec(height=8, width=4, modalities=ModalityOptions(norms=modalities))
        self.dims = {"embedding": 5}
        self.linear = nn.Linear(3 * 8 * 4, 5)
        nn.init.normal_(self.linear.weight, generator=torch.Generator().manual_seed(0))
        self.drop = nn.Dropout()
        self.seen: list[Any] = []

    def places(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
        return {}

    def embed(self, images: Tensor, **side: Tensor) -> Tensor:
        assert images.dtype == torch.uint8
        self.seen.append((len(images), side))
        return self.drop(self.linear(images.flatten(1) / 255))


def draw(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (8, 4, 3), dtype=np.uint8)


def samples(count: int = 20) -> list[Sample]:
    return [
        Sample(f"{i}.png", f"who {i % 4}", i % 3 or None, "infrared" if i % 2 else "visible", draw=partial(draw, i))
        for i in range(count)
    ]


def by_hand(model: Tiny, count: int = 20) -> Tensor:
    pictures = torch.stack([torch.from_numpy(draw(i)).permute(2, 0, 1) for i in range(count)])
    return model.linear(pictures.flatten(1) / 255).detach()


embedded: Callable[..., Any] = embed  # A Tiny is no Embedder to a type checker.
embedded_to: Callable[..., Any] = embed_to


def test_vectors_and_columns() -> None:
    model = Tiny().train()
    found = embedded(model, samples(), batch_size=7)
    torch.testing.assert_close(found.vectors, by_hand(model))
    assert found.identities.tolist() == [f"who {i % 4}" for i in range(20)]
    assert found.cameras.tolist() == [i % 3 or None for i in range(20)]
    assert found.paths.tolist() == [f"{i}.png" for i in range(20)]
    assert [size for size, _ in model.seen] == [7, 7, 6]
    assert model.drop.training
    assert not found.vectors.requires_grad


def test_mirrored() -> None:
    model = Tiny()
    pictures = torch.stack([torch.from_numpy(draw(i)).permute(2, 0, 1) for i in range(3)])
    expected = (by_hand(model, 3) + model.linear(pictures.flip(3).flatten(1) / 255).detach()) / 2
    torch.testing.assert_close(embedded(model, samples(3), mirrored=True).vectors, expected)


def test_modalities_go_to_the_networks_that_ask_for_them() -> None:
    asks, asks_not = Tiny(modalities=True), Tiny()
    embedded(asks, samples(4))
    embedded(asks_not, samples(4))
    assert asks.seen[0][1]["modalities"].tolist() == [0, 1, 0, 1]
    assert asks_not.seen[0][1] == {}


def test_no_samples() -> None:
    assert embedded(Tiny(), []).vectors.shape == (0, 5)


def test_unreadable_picture() -> None:
    with pytest.raises(DataError, match=r"nowhere\.jpg"):
        embedded(Tiny(), [Sample("nowhere.jpg", 1)])


def test_on_the_disk(tmp_path: Path) -> None:
    model = Tiny()
    found = embedded_to(tmp_path, model, samples(), shard=6)
    torch.testing.assert_close(found.vectors, by_hand(model))
    memory = embedded(model, samples())
    for column in ("identities", "cameras", "modalities", "tracks", "paths"):
        on_disk, in_memory = getattr(found, column), getattr(memory, column)
        assert (on_disk is None and in_memory is None) or on_disk.tolist() == in_memory.tolist()
    # Without this library:
    assert np.load(tmp_path / "vectors.npy").shape == (20, 5)
    table = pd.read_parquet(tmp_path / "table")
    assert table["identity"].tolist() == memory.identities.tolist()


def test_half_precision(tmp_path: Path) -> None:
    model = Tiny()
    found = embedded_to(tmp_path, model, samples(), dtype="float16")
    assert torch.equal(found.vectors, by_hand(model).half())


class StopError(Exception):
    pass


@pytest.mark.parametrize("stop_after", [0, 1, 3, 5])
def test_resume(tmp_path: Path, stop_after: int) -> None:
    """Stopped at a batch, another call does what is missing and nothing twice."""
    model = Tiny()
    calls = 0
    embed_batch = model.embed

    def interrupted(images: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > stop_after:
            raise StopError
        return embed_batch(images)

    model.embed = interrupted  # type: ignore[assignment, method-assign]
    with pytest.raises(StopError):
        embedded_to(tmp_path, model, samples(), shard=6, batch_size=3)
    with pytest.raises(RunError, match="are missing: embed again"):
        open_embeddings(tmp_path)
    model.embed = embed_batch  # type: ignore[method-assign]
    model.seen.clear()
    found = embedded_to(tmp_path, model, samples(), shard=6, batch_size=3)
    torch.testing.assert_close(found.vectors, by_hand(model))
    assert sum(size for size, _ in model.seen) == 20 - 6 * (stop_after // 2)


@pytest.mark.parametrize("what", ["samples", "model", "dtype"])
def test_other_work_in_the_folder(tmp_path: Path, what: str) -> None:
    model = Tiny()
    embedded_to(tmp_path, model, samples())
    before = (tmp_path / "vectors.npy").read_bytes()
    others = samples(20)[::-1] if what == "samples" else samples()
    if what == "model":
        nn.init.zeros_(model.linear.bias)
        model.linear.bias.data[0] = 7
    with pytest.raises(RunError, match=what):
        embedded_to(tmp_path, model, others, dtype="float16" if what == "dtype" else "float32")
    assert (tmp_path / "vectors.npy").read_bytes() == before


def test_no_embeddings_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no embedding\.json"):
        open_embeddings(tmp_path)
    empty = embedded_to(tmp_path / "new", Tiny(), [])
    assert empty.vectors.shape == (0, 5)


def test_integers_beside_text_come_back_as_they_were(tmp_path: Path) -> None:
    names = [7, "007", "anna", -1, 2**62, "7.0", 8, 9]
    known = [Sample(s.path, names[i], [None, 1, "gate"][i % 3], draw=s.draw) for i, s in enumerate(samples(8))]
    found = embedded_to(tmp_path, Tiny(), known, shard=3)
    assert found.identities.tolist() == names
    assert [type(name) for name in found.identities] == [type(name) for name in names]
    assert found.cameras is not None
    assert found.cameras.tolist() == [s.camera for s in known]
    tables = [pd.read_parquet(path) for path in sorted((tmp_path / "table").iterdir())]
    assert pd.concat(tables).identity.tolist() == [str(name) for name in names]


def test_labels_that_text_does_not_tell_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"every identity of one type.*got '1'"):
        embedded_to(tmp_path, Tiny(), [Sample("a", 1), Sample("b", "1")])
    assert not any(tmp_path.iterdir())


def test_from_the_disk_to_a_report(tmp_path: Path) -> None:
    model = Tiny()
    known = [Sample(s.path, s.identity, i % 3, draw=s.draw) for i, s in enumerate(samples(40))]
    on_disk, memory = embedded_to(tmp_path, model, known, shard=7), embedded(model, known)
    expected = evaluate(memory[slice(0, 9)], memory, cross_camera).to_dict()
    assert json.loads(json.dumps(evaluate(memory[slice(0, 9)], on_disk, cross_camera).to_dict())) == expected
