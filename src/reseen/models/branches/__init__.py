"""Networks with several vectors for one picture, each on top of any backbone that keeps a feature map."""

from reseen.models.branches.bdb import BDB
from reseen.models.branches.mgn import MGN
from reseen.models.branches.pcb import PCB

__all__ = ["BDB", "MGN", "PCB"]
