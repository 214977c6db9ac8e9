"""Object re-identification: the same individual found again, elsewhere, at other times, in other spectra."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reseen.encoding import load

__all__ = ["load"]
__version__ = version("reseen")


def __getattr__(name: str) -> Any:
    if name == "load":  # Not above: `reseen --help` answers before NumPy is there.
        from reseen.encoding import load

        return load
    raise AttributeError(f"module 'reseen' has no attribute '{name}'")
