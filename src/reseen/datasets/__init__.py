"""Data sets: each a class whose constructor is its command line, and whose instance is a Benchmark."""

from reseen.datasets.folder import Folder
from reseen.datasets.market1501 import Market1501
from reseen.datasets.synthetic import Synthetic
from reseen.datasets.table import Table

__all__ = ["Folder", "Market1501", "Synthetic", "Table"]
