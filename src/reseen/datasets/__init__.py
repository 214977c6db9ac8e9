"""Data sets: each a class whose constructor is its command line, and whose instance is a Benchmark."""

from reseen.datasets.benchmarks.cuhk03 import CUHK03
from reseen.datasets.benchmarks.dukemtmc import DukeMTMCReID, OccludedDuke
from reseen.datasets.benchmarks.market1501 import Market1501
from reseen.datasets.benchmarks.msmt17 import MSMT17
from reseen.datasets.benchmarks.regdb import RegDB
from reseen.datasets.benchmarks.sysumm01 import SYSUMM01
from reseen.datasets.benchmarks.vehicleid import VehicleID
from reseen.datasets.benchmarks.veri776 import VeRi776
from reseen.datasets.benchmarks.veriwild import VERIWild
from reseen.datasets.custom.folder import Folder
from reseen.datasets.custom.table import Table
from reseen.datasets.joined import Joined
from reseen.datasets.subset import Subset
from reseen.datasets.synthetic.dataset import Synthetic
from reseen.datasets.transfer import Transfer

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
    "Transfer",
    "VERIWild",
    "VeRi776",
    "VehicleID",
]
