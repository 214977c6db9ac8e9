"""Object re-identification: train embeddings, measure them under exact protocols, search galleries.

The names below and every subpackage are imported when they are first used, so that ``import reseen`` takes no time and
``reseen.losses.AdaSPLoss`` works after it.

Example:
    >>> import reseen
    >>> spec = reseen.ModelSpec("osnet_x0_25", height=128, width=64)
    >>> reseen.Embedder(spec).dims["embedding"]
    512
"""

import importlib
import pkgutil
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reseen.embedding import load
    from reseen.embedding.model import embed
    from reseen.evaluation import evaluate
    from reseen.gallery import Gallery
    from reseen.model_evaluation import evaluate_model
    from reseen.models import Embedder, ModelSpec
    from reseen.training import train
    from reseen.types import Benchmark, Embeddings, Protocol, Sample

__all__ = [
    "Benchmark",
    "Embedder",
    "Embeddings",
    "Gallery",
    "ModelSpec",
    "Protocol",
    "Sample",
    "embed",
    "evaluate",
    "evaluate_model",
    "load",
    "train",
]
__version__ = version("reseen")

_HOMES = {
    "Benchmark": "types",
    "Embedder": "models",
    "Embeddings": "types",
    "Gallery": "gallery",
    "ModelSpec": "models",
    "Protocol": "types",
    "Sample": "types",
    "embed": "embedding.model",
    "evaluate": "evaluation",
    "evaluate_model": "model_evaluation",
    "load": "embedding",
    "train": "training",
}
_MODULES = frozenset(module.name for module in pkgutil.iter_modules(__path__)) - {"__main__"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        try:
            home = importlib.import_module(f"reseen.{_HOMES[name]}")
        except ModuleNotFoundError as error:  # hasattr is to answer without torch too
            raise AttributeError(f"reseen.{name} needs the library {error.name}, which is not installed") from error
        return getattr(home, name)
    if name in _MODULES:
        return importlib.import_module(f"reseen.{name}")
    raise AttributeError(f"module 'reseen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
