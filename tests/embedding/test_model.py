"""Embedding, against the model called by hand, and what becomes of it on the disk."""

import json
import os
import pickle
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from reseen.embedding.model import embed, embed_to, open_embeddings
from reseen.errors import CheckpointError, DataError, RunError, WriteError
from reseen.evaluation import evaluate
from reseen.models import ModelSpec
from reseen.models.spec import ModalityOptions
from reseen.pictures import digest
from reseen.protocols import cross_camera
from reseen.types import Sample


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

    def side_info(self, samples: Sequence[Sample]) -> dict[str, Tensor]:
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
    found = embedded_to(tmp_path, model, samples(), part_rows=6)
    torch.testing.assert_close(found.vectors, by_hand(model))
    memory = embedded(model, samples())
    for column in ("identities", "cameras", "modalities", "tracks", "paths"):
        on_disk, in_memory = getattr(found, column), getattr(memory, column)
        assert (on_disk is None and in_memory is None) or on_disk.tolist() == in_memory.tolist()
    # Without this library:
    assert np.load(tmp_path / "vectors.npy").shape == (20, 5)
    table = pd.read_parquet(tmp_path / "parts")
    assert table["identity"].tolist() == memory.identities.tolist()
    assert table["row"].tolist() == list(range(20))
    torch.testing.assert_close(torch.tensor(np.stack(table["vector"])), by_hand(model))
    assert table["digest"].tolist() == [digest(draw(i)) for i in range(20)]


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
        embedded_to(tmp_path, model, samples(), part_rows=6, batch_size=3)
    with pytest.raises(RunError, match="are missing: embed again"):
        open_embeddings(tmp_path)
    model.embed = embed_batch  # type: ignore[method-assign]
    model.seen.clear()
    found = embedded_to(tmp_path, model, samples(), part_rows=6, batch_size=3)
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


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def flip(path: Path, byte: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 16
    path.write_bytes(content)


def part(folder: Path, number: int) -> Path:
    return folder / "parts" / f"{number:08d}.parquet"


def place_of(folder: Path) -> int:
    return part(folder, 1).read_bytes().index(np.load(folder / "vectors.npy")[8].tobytes())


DAMAGE: dict[str, Callable[[Path], object]] = {
    "gone": lambda folder: part(folder, 1).unlink(),
    "empty": lambda folder: cut(part(folder, 1), 0),
    "cut": lambda folder: cut(part(folder, 1), 300),
    "replaced": lambda folder: part(folder, 1).write_bytes(b"junk" * 99),
    "of other rows": lambda folder: shutil.copy(part(folder, 3), part(folder, 1)),
    "a bit of a vector": lambda folder: flip(part(folder, 1), place_of(folder) + 2),
    "a bit of a column's name": lambda folder: flip(part(folder, 1), part(folder, 1).read_bytes().index(b"digest")),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_embedding_again_mends_what_has_been_damaged(tmp_path: Path, kind: str) -> None:
    model = Tiny()
    embedded_to(tmp_path, model, samples(), part_rows=6)
    before = [part(tmp_path, number).read_bytes() for number in range(4)]
    DAMAGE[kind](tmp_path)
    with pytest.raises(RunError, match="embed again"):
        open_embeddings(tmp_path)
    model.seen.clear()
    found = embedded_to(tmp_path, model, samples(), part_rows=6)
    torch.testing.assert_close(found.vectors, by_hand(model))
    assert found.paths.tolist() == [f"{i}.png" for i in range(20)]
    assert sum(size for size, _ in model.seen) == 6
    assert [part(tmp_path, number).read_bytes() for number in range(4)] == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embedding.json", "parts", "vectors.npy"]


VECTORS: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "cut": lambda path: cut(path, 500),
    "empty": lambda path: cut(path, 0),
    "replaced": lambda path: path.write_bytes(pickle.dumps([1] * 1000)),
    "of another shape": lambda path: np.save(path, np.zeros((20, 6), np.float32)),
    "a bit of a vector": lambda path: flip(path, 128 + 4 * 5 * 8 + 2),
}


@pytest.mark.parametrize("kind", VECTORS)
def test_one_file_of_vectors_is_made_again_from_the_parts(tmp_path: Path, kind: str) -> None:
    model = Tiny()
    embedded_to(tmp_path, model, samples(), part_rows=6)
    VECTORS[kind](tmp_path / "vectors.npy")
    model.seen.clear()
    for found in (open_embeddings(tmp_path), open_embeddings(tmp_path, mapped=True)):
        torch.testing.assert_close(found.vectors, by_hand(model))
    assert found.mapped
    assert model.seen == []


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"samples": "many"}', '{"dim": 5', "\xff"])
def test_a_damaged_description_is_told_in_one_line(tmp_path: Path, text: str) -> None:
    embedded_to(tmp_path, Tiny(), samples())
    (tmp_path / "embedding.json").write_bytes(text.encode("latin-1"))
    for attempt in (lambda: open_embeddings(tmp_path), lambda: embedded_to(tmp_path, Tiny(), samples())):
        with pytest.raises(RunError, match=r"embedding\.json, found it damaged"):
            attempt()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("samples", 10**15), ("samples", 10**300), ("samples", True), ("samples", 1e308), ("part_rows", 0.5)),
        *(("part_rows", 0), ("dim", -1), ("dtype", "object"), ("mirrored", 1), ("model_sha256", None)),
        *(("integers_as_text", [[]]), ("integers_as_text", 3)),
    ],
)
def test_an_impossible_description_is_told_in_one_line(tmp_path: Path, field: str, value: object) -> None:
    embedded_to(tmp_path, Tiny(), samples(), part_rows=1)
    known = json.loads((tmp_path / "embedding.json").read_text())
    (tmp_path / "embedding.json").write_text(json.dumps({**known, field: value}))
    with pytest.raises(RunError, match=r"embedding\.json, found it damaged|parts in .* are missing"):
        open_embeddings(tmp_path)
    (tmp_path / "embedding.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match=r"embedding\.json, found it damaged"):
        open_embeddings(tmp_path)


@pytest.mark.parametrize("name", ["embedding.json", "parts/00000000.parquet"])
def test_a_pipe_among_them_is_not_waited_for(tmp_path: Path, name: str) -> None:
    embedded_to(tmp_path, Tiny(), samples())
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(RunError, match=r"found it damaged|parts in .* are missing"):
        open_embeddings(tmp_path)


@pytest.mark.parametrize(("same_size", "seconds"), [(True, 11), (False, 10)])
def test_a_changed_picture_is_embedded_anew_and_no_other_part(tmp_path: Path, same_size: bool, seconds: int) -> None:
    model, paths = Tiny(), [tmp_path / f"{n}.bmp" for n in range(4)]
    for n, path in enumerate(paths):
        Image.fromarray(draw(n)).save(path)
        os.utime(path, (10, 10))
    known = [Sample(str(path), 1) for path in paths]
    embedded_to(tmp_path / "out", model, known, part_rows=2)
    model.seen.clear()
    embedded_to(tmp_path / "out", model, known, part_rows=2)
    assert model.seen == []
    Image.fromarray(draw(9)).save(paths[3], "BMP" if same_size else "PNG")
    os.utime(paths[3], (seconds, seconds))
    found = embedded_to(tmp_path / "out", model, known, part_rows=2)
    torch.testing.assert_close(found.vectors, by_hand(model, 10)[[0, 1, 2, 9]])
    assert sum(size for size, _ in model.seen) == 2


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "float32"), (np.inf, "float32"), (7e4, "float16")])
def test_vectors_that_are_not_finite_are_refused(tmp_path: Path, value: float, dtype: str) -> None:
    model = Tiny()
    model.linear.bias.data[2] = value
    with pytest.raises(
        CheckpointError, match=rf"finite vectors in {dtype}, got others for 6 of 6 pictures, first 0.png"
    ):
        embedded_to(tmp_path, model, samples(), part_rows=6, dtype=dtype)
    with pytest.raises(RunError, match="are missing"):
        open_embeddings(tmp_path)
    embedded_to(tmp_path, Tiny(), samples(7))  # other work, in a folder where nothing has been finished


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="Not a directory"):
        embedded_to(tmp_path / "file" / "out", Tiny(), samples())


def test_no_embeddings_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no embedding\.json"):
        open_embeddings(tmp_path)
    empty = embedded_to(tmp_path / "new", Tiny(), [])
    assert empty.vectors.shape == (0, 5)


def test_integers_beside_text_come_back_as_they_were(tmp_path: Path) -> None:
    names = [7, "007", "anna", -1, 2**62, "7.5", 8, 9]
    known = [Sample(s.path, names[i], [None, 1, "gate"][i % 3], draw=s.draw) for i, s in enumerate(samples(8))]
    found = embedded_to(tmp_path, Tiny(), known, part_rows=3)
    assert found.identities.tolist() == names
    assert [type(name) for name in found.identities] == [type(name) for name in names]
    assert found.cameras is not None
    assert found.cameras.tolist() == [s.camera for s in known]
    tables = [pd.read_parquet(path) for path in sorted((tmp_path / "parts").iterdir())]
    assert pd.concat(tables).identity.tolist() == [str(name) for name in names]


def test_labels_that_text_does_not_tell_apart_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"every identity of one type.*got '1'"):
        embedded_to(tmp_path, Tiny(), [Sample("a", 1), Sample("b", "1")])
    assert not any(tmp_path.iterdir())


def test_from_the_disk_to_a_report(tmp_path: Path) -> None:
    model = Tiny()
    known = [Sample(s.path, s.identity, i % 3, draw=s.draw) for i, s in enumerate(samples(40))]
    on_disk, memory = embedded_to(tmp_path, model, known, part_rows=7), embedded(model, known)
    expected = evaluate(memory[slice(0, 9)], memory, cross_camera).to_dict()
    assert json.loads(json.dumps(evaluate(memory[slice(0, 9)], on_disk, cross_camera).to_dict())) == expected
