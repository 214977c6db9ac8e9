"""Checkpoints: a trained network as one file, with its weights, its ModelSpec and its provenance.

The file is safetensors: tensors by name, and in its metadata the ``ModelSpec``, the configuration of the run and its
provenance, with digests of these and of the tensors, which are looked at on loading. It is never half written: a new
file takes the old one's place only when all of it is on the disk.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from reseen.errors import CheckpointError, one_line
from reseen.files import write_atomically
from reseen.models import Embedder, ModelSpec, WeightsReport
from reseen.models.weights import TENSORS_DIGEST, digest_of, load_weights, read_tensors
from reseen.trust import may_be_unchecked, named_classes, require_trusted
from reseen.zoo import entry, fetch_own, find, is_hub_address, near

FORMAT = "reseen-1"
DIGEST = "sha256"


@dataclass(frozen=True)
class Description:
    """Description of a checkpoint: model spec, run configuration and provenance.

    Attributes:
        spec: The network.
        config: The resolved configuration of the run, YAML; None where it was trained without one.
        provenance: Versions and whatever the run noted: step, scores, data.
    """

    spec: ModelSpec
    config: str | None
    provenance: dict[str, Any]


def save(
    path: str | Path, model: Embedder, *, provenance: Mapping[str, Any] | None = None, config: str | None = None
) -> None:
    """Write a model to one file, all or nothing.

    Args:
        path: Where to; a file there is replaced.
        model: Its weights and its spec.
        provenance: Anything JSON can say about where the weights come from; versions are added.
        config: The resolved configuration, YAML.

    Raises:
        WriteError: The file cannot be written; one that was there is intact.
    """
    metadata = {
        "format": FORMAT,
        "spec": json.dumps(model.spec.to_dict()),
        "provenance": json.dumps({**versions(), **(provenance or {})}),
    }
    if config is not None:
        metadata["config"] = config
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata[TENSORS_DIGEST] = digest_of(tensors)
    metadata[DIGEST] = _digest(metadata)
    write_atomically(Path(path), to_bytes(tensors, metadata=metadata))


def load(path: str | Path, *, trust: Iterable[str] = (), unchecked: bool = False) -> Embedder:
    """Return the model in a file, or a published one, in evaluation mode, on the CPU.

    Args:
        path: The file, ``hf:owner/repository`` for one on the Hugging Face hub, or a name that `reseen models` lists.
        trust: Packages whose backbones the file may name; making one runs the package's code. Those in the
            environment's RESEEN_TRUST are taken as well, and this library's and timm's always.
        unchecked: Also read a file without a digest, as earlier versions wrote them.

    Raises:
        CheckpointError: There is no such file, it is damaged or no checkpoint, or its weights are another network's.
        TrustError: The backbone is of a package that is not trusted.
    """
    if is_published(path):
        return published_model(str(path))
    path = file_of(path)
    description = describe(path, unchecked=unchecked)
    require_trusted(named_classes(description.spec.to_dict()), source=path, trust=trust)
    try:
        model = Embedder(description.spec, pretrained=False)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise CheckpointError(f"expected a network that can be built in {path}, got: {one_line(error)}") from error
    load_weights(model, read_tensors(str(path)), source=str(path))
    model.pretrained = True
    return model.eval()


def is_published(name: str | Path) -> bool:
    """Tell whether something is the name of a published model, and of no file."""
    return find(str(name)) is not None and not Path(name).exists()


def published_model(name: str) -> Embedder:
    """Return a published model with its weights, fetched if they are not there yet, in evaluation mode.

    Raises:
        CheckpointError: There is no such model, torch does not run it, or its weights cannot be had.
    """
    wanted = entry(name)
    if wanted.kind != "torch":
        raise CheckpointError(
            f"expected a model that torch runs, got {name} of the kind {wanted.kind}; index, search, compare, embed "
            "and serve take it"
        )
    return Embedder(ModelSpec.from_dict({**wanted.spec, "weights": name})).eval()


def file_of(path: str | Path) -> Path:
    """Return the file of a checkpoint; of a run's folder, that of its last weights.

    Raises:
        CheckpointError: The folder holds no weights, or the hub has none.
    """
    if is_hub_address(str(path)):
        return fetch_own(str(path))
    place = Path(path)
    if not place.is_dir():
        return place
    if not (place / "last.safetensors").is_file():
        names = ", ".join(sorted(p.name for p in place.iterdir())[:8]) or "nothing"
        raise CheckpointError(f"expected last.safetensors in {place}, found {names}; train a run in it first")
    return place / "last.safetensors"


def describe(path: str | Path, *, unchecked: bool = False) -> Description:
    """Return the description of a checkpoint, without reading its weights.

    Args:
        path: The file.
        unchecked: Also read a file without a digest.

    Raises:
        CheckpointError: There is no such file, or it is damaged or no checkpoint.
    """
    path = file_of(path)
    if not path.is_file():
        has = f"has {' and '.join(close)}" if (close := near(str(path))) else "lists names that load"
        raise CheckpointError(
            f"expected a checkpoint at {path}, found no such file; check the path; reseen models {has}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _damaged(path, one_line(error)) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"expected a checkpoint of reseen at {path}, got tensors without its description; "
            "to start from such weights, name them in the model's `weights`"
        )
    if DIGEST in metadata and metadata[DIGEST] != _digest(metadata):
        raise _damaged(path, "its description is not as it was written")
    if not {DIGEST, TENSORS_DIGEST} <= set(metadata) and not (unchecked or may_be_unchecked()):
        raise CheckpointError(
            f"expected a digest in {path}, found none, as in files of earlier versions or of other programs; "
            "say --unchecked true (in code: unchecked=True) to read it as it is, or train again"
        )
    try:
        spec = ModelSpec.from_dict(json.loads(metadata["spec"]))
        provenance = json.loads(metadata.get("provenance", "{}"))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"expected a network this version of reseen knows in {path}, got: {one_line(error)}; update reseen"
        ) from error
    return Description(spec, metadata.get("config"), provenance if isinstance(provenance, dict) else {})


def _damaged(path: str | Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"expected a whole checkpoint at {path}, got a damaged or shortened file ({reason}); "
        "copy it again, or use the run's other checkpoint"
    )


def _digest(metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 digest of a description, in hexadecimal."""
    described = sorted((name, text) for name, text in metadata.items() if name != DIGEST)
    return hashlib.sha256(ascii(described).encode()).hexdigest()


def initialise(model: Embedder, path: str | Path) -> WeightsReport:
    """Initialise a model from weights: tensors that fit by name and shape; the others are listed.

    For going on from a checkpoint with other identities, another neck or another size of picture. To repeat a model
    exactly use ``load``, to go on with a run ``train(..., resume=True)``.

    Raises:
        CheckpointError: The file cannot be read, or nothing in it fits.
    """
    tensors = published_model(str(path)).state_dict() if is_published(path) else read_tensors(str(path))
    own = model.state_dict()
    used = [name for name in own if name in tensors and tensors[name].shape == own[name].shape]
    if not used:
        raise CheckpointError(
            f"expected weights of a {model.spec.backbone} in {path}, got {len(tensors)} tensors none of which fits; "
            "choose the backbone that they were trained with, or name another project's file in the model's `weights`"
        )
    model.load_state_dict({name: tensors[name] for name in used}, strict=False)
    model.pretrained = True
    return WeightsReport(
        str(path),
        tuple(used),
        {},
        tuple(name for name in tensors if name not in used),
        tuple(name for name in own if name not in used),
    )


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    return {"reseen": version("reseen"), "torch": str(torch.__version__), "python": platform.python_version()}
