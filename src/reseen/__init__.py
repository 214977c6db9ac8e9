"""Object re-identification: the same individual found again, elsewhere, at other times, in other spectra."""

from importlib.metadata import version

__version__ = version("reseen")
