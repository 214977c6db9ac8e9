"""Malformed inputs by the hundred, each with the words that give it to a verb. Seeded: the same ones every time.

A case is made when it is run, in a folder of its own; `taken` says whether a verb may also take it, because a change
such as that of one pixel leaves the input valid.
"""

import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch
import yaml
from PIL import Image

from reseen import checkpoint
from tests.faults.house import House, metadata_of
from tests.faults.mutations import WRONG, damaged, reworded, twisted

Words = list[object]


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Attributes:
        kind: What it is a malformed one of.
        name: Tells it from others of its kind.
        words: Makes it in an empty folder, and returns what follows ``reseen``.
        taken: It may also be taken.
    """

    kind: str
    name: str
    words: Callable[[House, Path], Words]
    taken: bool = True


def cases() -> list[Case]:
    """Return all of them."""
    return [case for kind in KINDS for case in kind()]


def pixels() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (32, 16, 3), np.uint8))


def pictures() -> Iterator[Case]:
    """Pictures of every format, damaged, and some that no damage makes."""
    formats: dict[str, dict[str, Any]] = {
        "jpeg": {},
        "progressive.jpeg": {"progressive": True},
        "png": {},
        "bmp": {},
        "tiff": {},
        "lzw.tiff": {"compression": "tiff_lzw"},
        "webp": {},
        "gif": {},
        "ppm": {},
        "jp2": {},
        "avif": {},
    }

    def spoilt(name: str, options: dict[str, Any], seed: int) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            whole = io.BytesIO()
            kind = {"jp2": "JPEG2000"}.get(end := name.rpartition(".")[2], end.upper())
            pixels().save(whole, kind, **options)
            path = folder / f"p.{end}"
            path.write_bytes(damaged(whole.getvalue(), Random(f"{name} {seed}")))
            return ["compare", path, good(house), "--model", house.onnx]

        return words

    for name, options in formats.items():
        for seed in range(6):
            yield Case("picture", f"{name} {seed}", spoilt(name, options, seed))

    def odd(make: Callable[[Path], Any], end: str = "png") -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            path = folder / f"p.{end}"
            make(path)
            return ["compare", path, good(house), "--model", house.onnx]

        return words

    def huge_png(path: Path) -> None:
        pixels().save(path)
        content = bytearray(path.read_bytes())
        content[16:24] = (10**6).to_bytes(4, "big") * 2
        path.write_bytes(content)

    def long_text(path: Path) -> None:
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("a", "x" * 200_000_000, zip=True)
        pixels().save(path, pnginfo=info)

    yield Case("picture", "empty", odd(Path.touch), taken=False)
    yield Case("picture", "a folder", odd(Path.mkdir), taken=False)
    yield Case("picture", "text", odd(lambda p: p.write_text("no picture")), taken=False)
    yield Case("picture", "a pipe that nobody writes to", odd(os.mkfifo), taken=False)
    yield Case("picture", "a device without end", odd(lambda p: p.symlink_to("/dev/zero")), taken=False)
    yield Case("picture", "a link to itself", odd(lambda p: p.symlink_to(p)), taken=False)
    yield Case("picture", "a million by a million", odd(huge_png), taken=False)
    yield Case("picture", "200 MB of text in 200 kB", odd(long_text))
    yield Case("picture", "drawing instructions", odd(lambda p: p.write_text("<svg onload='x'/>"), "svg"), taken=False)
    yield Case(
        "picture", "PostScript", odd(lambda p: p.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"))
    )
    yield Case("picture", "no size", odd(lambda p: p.write_bytes(b"P6 0 0 255\n"), "ppm"), taken=False)
    yield Case(
        "picture", "text for numbers", odd(lambda p: p.write_bytes(b"P3 4 4 255\n" + b"9" * 9999), "ppm"), taken=False
    )
    for name in ("p" * 300 + ".png", "\0.png", "a\nb.png", "\udcff.png"):
        yield Case(
            "picture",
            f"named {name[:4]!r}",
            lambda h, f, n=name: ["compare", n, good(h), "--model", h.onnx],
            taken=False,
        )

    def filed(make: Callable[[Path], Any]) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            pixels().save(folder / "a.png")
            make(folder)
            return ["index", folder.parent / f"{folder.name}-g", "--model", house.onnx, "--pictures", folder]

        return words

    yield Case("picture", "a pipe in a folder", filed(lambda f: os.mkfifo(f / "b.png")))
    yield Case("picture", "folders within themselves", filed(lambda f: [(f / n).symlink_to(f) for n in "bcd"]))
    yield Case(
        "picture", "a damaged one in a folder", filed(lambda f: (f / "b.png").write_bytes(b"\x89PNG")), taken=False
    )


def good(house: House) -> Path:
    return min(house.pictures.iterdir())


def tables() -> Iterator[Case]:
    """CSV and TSV files as people, spreadsheets and fuzzers write them."""

    def spoilt(name: str, seed: int, mutate: Callable[[bytes, Random], bytes]) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            path = folder / name
            path.write_bytes(mutate((house.root / name).read_bytes(), Random(f"{name} {seed}")))
            (folder / "pictures").symlink_to(house.pictures)
            if seed % 2:
                return ["index", folder / "g", "--model", house.onnx, "--table", path]
            return ["check-data", "--data", "Table", "--data.path", path]

        return words

    for name in ("people.csv", "people.tsv"):
        for seed in range(25):
            yield Case("table", f"{name}, words {seed}", spoilt(name, seed, reworded))
        for seed in range(35, 45):
            yield Case("table", f"{name}, bytes {seed}", spoilt(name, seed, damaged))


def parquets() -> Iterator[Case]:
    """Parquet files, damaged, and whole ones of columns that nobody expects."""

    def spoilt(seed: int) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            path = folder / "people.parquet"
            path.write_bytes(damaged((house.root / path.name).read_bytes(), Random(f"parquet {seed}")))
            (folder / "pictures").symlink_to(house.pictures)
            if seed % 2:
                return ["index", folder / "g", "--model", house.onnx, "--table", path]
            return ["check-data", "--data", "Table", "--data.path", path]

        return words

    for seed in range(20):
        yield Case("Parquet", f"bytes {seed}", spoilt(seed))
    odd: dict[str, list[Any]] = {
        "lists": [[1, 2]],
        "structures": [{"a": 1}],
        "bytes": [b"\xff\0"],
        "decimals": [Decimal("1.5")],
        "huge": [Decimal(10) ** 37],
        "floats": [1e300],
        "infinite": [float("inf")],
        "truths": [True],
        "absent": [None],
        "times": [np.datetime64("2020-01-01T00:00:00")],
    }

    def strange(column: str, values: list[Any]) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            table = {"path": [str(good(house))], "identity": ["a"], column: values}
            parquet.write_table(pa.table(table), folder / "t.parquet")
            return ["index", folder / "g", "--model", house.onnx, "--table", folder / "t.parquet"]

        return words

    def many(house: House, folder: Path) -> Words:
        block = pa.table({"path": pa.DictionaryArray.from_arrays(np.zeros(5_000_000, np.int32), [str(good(house))])})
        with parquet.ParquetWriter(folder / "t.parquet", block.schema, compression="zstd") as file:
            for _ in range(2):
                file.write_table(block, row_group_size=len(block))
        return ["index", folder / "g", "--model", house.onnx, "--table", folder / "t.parquet"]

    yield Case("Parquet", "ten million rows", many, taken=False)
    for name, values in odd.items():
        for column in ("path", "identity", "time", "bbox"):
            yield Case("Parquet", f"{column} of {name}", strange(column, values))


def settings() -> Iterator[Case]:
    """YAML files of settings, damaged, twisted, and of foreign classes."""

    def spoilt(seed: int, mutate: Callable[[bytes, Random], bytes]) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            path = folder / "c.yaml"
            path.write_bytes(mutate((house.run / "config.yaml").read_bytes(), Random(f"yaml {seed}")))
            return ["train", "--config", path, "--out", folder / "run"]

        return words

    def twist(content: bytes, chance: Random) -> bytes:
        return yaml.safe_dump(twisted(yaml.safe_load(content), chance)).encode()

    for seed in range(15):
        yield Case("YAML", f"words {seed}", spoilt(seed, reworded))
    for seed in range(35):
        yield Case("YAML", f"values {seed}", spoilt(1000 + seed, twist))
    bomb = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    texts = {
        "bomb": bomb,
        "within itself": "a: &a [*a]\n",
        "code": "data: !!python/object/apply:os.abort []\n",
        "deep": "a: " + "[" * 5000,
        "deep blocks": "".join(f"{' ' * n}a:\n" for n in range(1500)),
        "list": "- a\n",
        "nothing": "",
        "two documents": "a: 1\n---\nb: 2\n",
        "another file": "config: /etc/passwd\n",
        "foreign data": "data: canary.Net\n",
        "foreign loss": "terms: [{loss: canary.Net}]\n",
        "foreign class": "data: {class_path: os.abort}\n",
        "data through a module": "data: {class_path: reseen.files.os.abort}\n",
        "loss through a module": "terms: [{loss: {class_path: reseen.files.os.abort}}]\n",
        "class as a key": "? candidates\n: os.abort\n",
        "flattened": "model.backbone: os.abort\n",
        "class for a group": "schedule: {class_path: os.abort, init_args: {}}\n",
        "class for a path": "init: {class_path: os.abort}\n",
        "merge": "<<: {data: Synthetic}\n",
        "date": "data: 2020-01-01\n",
        "16 bits": "data: Synthetic\n".encode("utf-16").decode("latin-1"),
        "keys that are none": "? [a, b]\n: c\n",
        "number of digits": "seed: " + "9" * 5000 + "\n",
    }

    def written(text: str) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            (folder / "c.yaml").write_text(text, "latin-1")
            return ["train", "--config", folder / "c.yaml", "--out", folder / "run"]

        return words

    for name, text in texts.items():
        yield Case("YAML", name, written(text), taken=name == "merge")

    def group(flag: str, name: str) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            (folder / name).write_text('{"class_path": "canary.Net"}')
            return ["train", *house.training, "--out", folder / "run", f"--{flag}", folder / name]

        return words

    for flag in ("schedule", "batches", "augmentation", "candidates", "loss", "terms"):
        for name in ("a.json", "a"):
            yield Case("YAML", f"--{flag} {name}", group(flag, name), taken=False)


def words() -> Iterator[Case]:
    """Words on the command line: every verb with one that it does not take."""
    wrong = (
        "",
        "-1",
        "0",
        "nan",
        "1e999",
        "9" * 5000,
        "x" * 5000,
        "null",
        "[",
        "{a: 1}",
        "os.abort",
        "..x",
        "\0",
        "\x1b[2J",
    )
    verbs: dict[str, Callable[[House, Path], Words]] = {
        "check-data": lambda h, f: ["--data", "Table", "--data.path", h.table],
        "train": lambda h, f: [*h.training, "--out", f / "run"],
        "evaluate": lambda h, f: [h.run, "--out", f / "o"],
        "embed": lambda h, f: [h.onnx, "--pictures", h.pictures, "--out", f / "v"],
        "index": lambda h, f: [f / "g", "--model", h.onnx, "--pictures", h.pictures],
        "search": lambda h, f: [h.copy("gallery", f / "g"), good(h), "--model", h.onnx],
        "compare": lambda h, f: [good(h), good(h), "--model", h.onnx],
        "label": lambda h, f: [h.copy("gallery", f / "g")],
        "delete": lambda h, f: [h.copy("gallery", f / "g")],
        "forget": lambda h, f: [h.copy("gallery", f / "g")],
        "calibrate": lambda h, f: [h.copy("gallery", f / "g")],
        "export": lambda h, f: [h.run, f / "m.txt"],
        "report": lambda h, f: [h.run, "--out", f / "r.html"],
        "recipes": lambda h, f: [],
    }
    flags = {
        "check-data": ("data", "data.path", "data.root", "out"),
        "train": (
            *(
                "model.backbone",
                "model.height",
                "model.weights",
                "model.neck",
                "model.network",
                "terms",
                "batches.images",
            ),
            *(
                "batches.identities",
                "schedule.epochs",
                "schedule.learning_rate",
                "save_every",
                "evaluate_every",
                "init",
            ),
            *("loss", "loss_weight", "candidates", "precision", "workers", "seed", "augmentation.flip", "patience"),
        ),
        "evaluate": ("reranking", "batch_size", "workers", "data"),
        "embed": ("batch_size", "dtype", "parts", "unreadable"),
        "index": ("camera", "start", "every", "identities", "table", "video", "boxes", "device"),
        "search": ("k", "by", "cameras", "since", "exact", "out"),
        "compare": ("gallery", "device"),
        "label": ("ids", "identity", "table", "to"),
        "delete": ("ids", "identity"),
        "forget": ("before",),
        "calibrate": ("prior", "rates", "gap", "seed"),
        "export": ("precision",),
        "report": ("lists", "reranking"),
        "recipes": ("data",),
    }
    chance = Random("words")

    def given(verb: str, flag: str, word: str) -> Callable[[House, Path], Words]:
        return lambda house, folder: [verb, *verbs[verb](house, folder), f"--{flag}", word]

    for verb, names in flags.items():
        for flag in names:
            for word in chance.sample(wrong, 2):
                yield Case("word", f"{verb} --{flag} {word[:12]!r}", given(verb, flag, word))
    for verb in verbs:
        yield Case("word", f"{verb} --nothing 1", given(verb, "nothing", "1"), taken=False)


def checkpoints() -> Iterator[Case]:
    """Checkpoints, damaged, and whole ones of a stranger, who writes what he likes and then the digest."""

    def compared(house: House, path: Path) -> Words:
        return ["compare", good(house), good(house), "--model", path]

    def spoilt(seed: int) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            path = folder / "m.safetensors"
            path.write_bytes(damaged((house.run / "last.safetensors").read_bytes(), Random(f"weights {seed}")))
            return compared(house, path)

        return words

    for seed in range(25):
        yield Case("checkpoint", f"bytes {seed}", spoilt(seed))  # its digest may be of bytes that say the same

    def foreign(change: Callable[[dict[str, Any]], Any]) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            places, metadata, tensors = metadata_of(house.run / "last.safetensors")
            parts = {name: json.loads(metadata[name]) for name in ("spec", "provenance")}
            parts = change(parts)
            metadata |= {k: v if isinstance(v, str) else json.dumps(v) for k, v in parts.items()}
            del metadata[checkpoint.DIGEST]
            metadata[checkpoint.DIGEST] = checkpoint._digest(metadata)
            header = json.dumps({**json.loads(places), "__metadata__": metadata}).encode()
            (folder / "m.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + tensors)
            return compared(house, folder / "m.safetensors")

        return words

    for seed in range(45):
        yield Case("checkpoint", f"description {seed}", foreign(lambda p, s=seed: twisted(p, Random(f"spec {s}"))))
    for field in ("backbone", "network", "neck", "pooling", "height", "width", "dim", "weights", "resnet", "vit"):
        chance = Random(f"field {field}")
        for value in chance.sample(WRONG, 3):
            yield Case(
                "checkpoint",
                f"{field} {value!r:.20}",
                foreign(lambda p, f=field, v=value: {**p, "spec": {**p["spec"], f: v}}),
            )
    others = (
        *("timm:resnet50", "timm:vit_small_patch16_224", "osnet_x1_0", "timm:no_such", "os.abort", "sys.exit"),
        *(
            "reseen.files.os.abort",
            "reseen..os.abort",
            "reseen.trust.importlib.import_module",
            "reseen.cli.parser.call",
        ),
        *("canary.Net", "timm:hf_hub:timm/resnet18", "timm:../x", "reseen.losses.AdaSPLoss", "reseen.cli.main"),
    )
    configs = {
        "broken": "{",
        "list": "- a\n",
        "text": "hello",
        "within itself": "data: &a {class_path: *a}\n",
        "bomb": "data: &a [x, x]\n"
        + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdef", "bcdefg", strict=True)),
        "deep": "data: " + "[" * 5000,
        "long": "data: [" + "a, " * 700_000 + "]\n",
        "code": "data: !!python/object/apply:os.abort []\n",
    }

    def evaluated(text: str) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            run = house.copy("run", folder / "run")
            foreign(lambda parts: {**parts, "config": text})(house, folder)
            (folder / "m.safetensors").replace(run / "last.safetensors")
            return ["evaluate", run, "--out", folder / "scores"]

        return words

    for name, text in configs.items():
        yield Case("checkpoint", f"configuration {name}", evaluated(text), taken=False)
    for name in others:
        yield Case(
            "checkpoint",
            f"backbone {name}",
            foreign(lambda p, n=name: {**p, "spec": {**p["spec"], "backbone": n}}),
            taken=False,
        )


def exported() -> Iterator[Case]:
    """ONNX files, damaged, and whole ones of a stranger."""

    def spoilt(seed: int) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            (folder / "m.onnx").write_bytes(damaged(house.onnx.read_bytes(), Random(f"onnx {seed}")))
            return ["compare", good(house), good(house), "--model", folder / "m.onnx"]

        return words

    for seed in range(20):
        yield Case("ONNX", f"bytes {seed}", spoilt(seed), taken=False)

    def foreign(change: Callable[[Any], Any]) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            import onnx

            from reseen.export import write_onnx

            model = onnx.load(house.onnx)
            facts = json.loads(model.metadata_props[0].value)
            del facts["sha256"], model.metadata_props[:]
            facts = change(facts)
            if isinstance(facts, dict):
                write_onnx(model, folder / "m.onnx", facts)
            else:
                entry = model.metadata_props.add()
                entry.key, entry.value = "reseen", json.dumps(facts)
                onnx.save(model, folder / "m.onnx")
            return ["compare", good(house), good(house), "--model", folder / "m.onnx"]

        return words

    for seed in range(20):
        yield Case("ONNX", f"description {seed}", foreign(lambda f, s=seed: twisted(f, Random(f"facts {s}"))))
    for value in (None, [], 3, "text"):
        yield Case("ONNX", f"description is {value!r}", foreign(lambda f, v=value: v), taken=False)
    for dim in (9, 65_537, "8", None, -8):
        yield Case("ONNX", f"dim {dim!r}", foreign(lambda f, d=dim: {**f, "dim": d}), taken=False)


def videos() -> Iterator[Case]:
    """Videos and their boxes."""

    def spoilt(name: str, seed: int, mutate: Callable[[bytes, Random], bytes]) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            (folder / name).write_bytes(mutate((house.root / name).read_bytes(), Random(f"{name} {seed}")))
            video, boxes = (folder / n if n == name else house.root / n for n in ("video.avi", "boxes.txt"))
            return ["index", folder / "g", "--model", house.onnx, "--video", video, "--boxes", boxes]

        return words

    for seed in range(15):
        yield Case("boxes", f"words {seed}", spoilt("boxes.txt", seed, reworded))
        yield Case("video", f"bytes {seed}", spoilt("video.avi", seed, damaged))
    for line in (
        "1,1,inf,1,9,9",
        "1,1,1e300,1,9,9",
        "1,1,1,1,1e300,9",
        "1e300,1,1,1,9,9",
        "1,1e300,1,1,9,9",
        "99,1,1,1,9,9",
    ):

        def one(house: House, folder: Path, line: str = line) -> Words:
            (folder / "b.txt").write_text(line)
            return [
                "index",
                folder / "g",
                "--model",
                house.onnx,
                "--video",
                house.root / "video.avi",
                "--boxes",
                folder / "b.txt",
            ]

        yield Case("boxes", line, one)


def runs() -> Iterator[Case]:
    """Folders of runs whose files somebody has touched."""

    def spoilt(
        name: str, seed: int, mutate: Callable[[bytes, Random], bytes], given: Callable[[Path, Path], Words]
    ) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            run = house.copy("run", folder / "run")
            (run / name).write_bytes(mutate((run / name).read_bytes(), Random(f"{name} {seed}")))
            return given(run, folder)

        return words

    def resumed(run: Path, folder: Path) -> Words:
        return ["train", "--config", run / "config.yaml", "--out", run, "--resume", "true"]

    def twist_yaml(content: bytes, chance: Random) -> bytes:
        return yaml.safe_dump(twisted(yaml.safe_load(content), chance)).encode()

    def twist_json(content: bytes, chance: Random) -> bytes:
        return json.dumps(twisted(json.loads(content), chance)).encode()

    def twist_lines(content: bytes, chance: Random) -> bytes:
        lines = content.splitlines()
        place = chance.randrange(len(lines))
        lines[place] = twist_json(lines[place], chance)
        return b"\n".join(lines)

    def twist_state(content: bytes, chance: Random) -> bytes:
        state = torch.load(io.BytesIO(content), weights_only=True)
        holder = state
        for _ in range(chance.randrange(4)):
            inside = [value for value in holder.values() if isinstance(value, dict) and value]
            holder = chance.choice(inside) if inside else holder
        key = chance.choice(list(holder))
        if chance.random() < 0.3:
            del holder[key]
        else:
            holder[key] = chance.choice([None, 3, "x", [], {}, torch.zeros(2), 2**40, [1, "a"], -1.5])
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return buffer.getvalue()

    def piped(name: str, given: Callable[[Path, Path], Words]) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            run = house.copy("run", folder / "run")
            (run / name).unlink(missing_ok=True)
            os.mkfifo(run / name)
            return given(run, folder)

        return words

    for name in ("state/last.pt", "state/lock", "state/.last.pt.partial", "metrics.jsonl"):
        yield Case("state", f"{name} a pipe", piped(name, resumed))
    for name in ("config.yaml", "report.json", "per_query.csv", "last.safetensors"):
        yield Case("config.yaml", f"{name} a pipe", piped(name, lambda run, folder: ["evaluate", run]))
    for seed in range(8):
        yield Case("state", f"bytes {seed}", spoilt("state/last.pt", seed, damaged, resumed))
    for seed in range(10):
        yield Case("state", f"values {seed}", spoilt("state/last.pt", 100 + seed, twist_state, resumed))
    for seed in range(16):
        words = spoilt("config.yaml", seed, reworded, lambda run, folder: ["evaluate", run, "--out", folder / "o"])
        yield Case("config.yaml", f"words {seed}", words)
    for seed in range(18):
        words = spoilt("config.yaml", seed, twist_yaml, lambda run, folder: ["evaluate", run, "--out", folder / "o"])
        yield Case("config.yaml", f"values {seed}", words)
    for seed in range(6):
        yield Case("report.json", f"words {seed}", spoilt("report.json", seed, reworded, lambda r, f: ["evaluate", r]))
        yield Case(
            "report.json", f"values {seed}", spoilt("report.json", seed, twist_json, lambda r, f: ["evaluate", r])
        )
        yield Case(
            "metrics.jsonl", f"words {seed}", spoilt("metrics.jsonl", seed, reworded, lambda r, f: ["report", r])
        )
        yield Case(
            "metrics.jsonl", f"values {seed}", spoilt("metrics.jsonl", seed, twist_lines, lambda r, f: ["report", r])
        )
        yield Case("metrics.jsonl", f"resumed {seed}", spoilt("metrics.jsonl", seed, damaged, resumed))


def galleries() -> Iterator[Case]:
    """Galleries and embeddings, damaged."""

    def gallery(name: str, seed: int) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            path = house.copy("gallery", folder / "g") / name
            path.write_bytes(damaged(path.read_bytes(), Random(f"{name} {seed}")))
            return ["search", folder / "g", good(house), "--model", house.onnx]

        return words

    def embeddings(name: str, seed: int) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            whole = house.copy("vectors", folder / "v")
            files = sorted(path for path in whole.rglob("*") if path.is_file())
            path = files[seed % len(files)]
            path.write_bytes(damaged(path.read_bytes(), Random(f"{name} {seed}")))
            return ["embed", house.onnx, "--pictures", house.pictures, "--out", folder / "v"]

        return words

    def described(seed: int) -> Callable[[House, Path], Words]:
        def words(house: House, folder: Path) -> Words:
            whole = house.copy("vectors", folder / "v")
            known = json.loads((whole / "embedding.json").read_text())
            (whole / "embedding.json").write_text(json.dumps(twisted(known, Random(f"described {seed}"))))
            if seed % 2:
                return ["index", folder / "g", "--vectors", whole]
            return ["embed", house.onnx, "--pictures", house.pictures, "--out", whole]

        return words

    for seed in range(20):
        yield Case("embeddings", f"description {seed}", described(seed))
    for seed in range(15):
        yield Case("gallery", f"database {seed}", gallery("truth.sqlite", seed))
        yield Case(
            "gallery",
            f"index {seed}",
            gallery(f"index-1/{('columns.npz', 'vectors.npy', 'index.json')[seed % 3]}", seed),
        )
        yield Case("embeddings", f"bytes {seed}", embeddings("vectors", seed))


KINDS = (pictures, tables, parquets, settings, words, checkpoints, exported, videos, runs, galleries)
