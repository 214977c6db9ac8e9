"""Networks on a backbone: one global vector, or one for each branch."""

from reseen.models.networks.base import HeadOptions, Network, Outputs
from reseen.models.networks.bdb import BDB
from reseen.models.networks.branch_heads import BranchHeads
from reseen.models.networks.global_network import GlobalNetwork
from reseen.models.networks.mgn import MGN
from reseen.models.networks.pcb import PCB

__all__ = ["BDB", "MGN", "PCB", "BranchHeads", "GlobalNetwork", "HeadOptions", "Network", "Outputs"]
