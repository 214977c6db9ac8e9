"""Object re-identification: find the same individual among pictures taken elsewhere, at other times, in other spectra."""

from importlib.metadata import version

__version__ = version("reseen")
