"""Data sets: each a class whose constructor is its command line, and whose instance is a Benchmark."""

from reseen.datasets.cuhk03 import CUHK03
from reseen.datasets.dukemtmc import DukeMTMCReID, OccludedDuke
from reseen.datasets.folder import Folder
from reseen.datasets.joined import Joined
from reseen.datasets.market1501 import Market1501
from reseen.datasets.msmt17 import MSMT17
from reseen.datasets.regdb import RegDB
from reseen.datasets.subset import Subset
from reseen.datasets.synthetic import Synthetic
from reseen.datasets.sysumm01 import SYSUMM01
from reseen.datasets.table import Table
from reseen.datasets.vehicleid import VehicleID
from reseen.datasets.veri776 import VeRi776
from reseen.datasets.veriwild import VERIWild

__all__ = [
    "CUHK03",
    "MSMT17",
    "SYSUMM01",
    "DukeMTMCReID",
    "Folder",
    "Joined",
    "Market1501",
    "OccludedDuke",
    "RegDB",
    "Subset",
    "Synthetic",
    "Table",
    "VERIWild",
    "VeRi776",
    "VehicleID",
]
