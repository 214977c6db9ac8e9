"""Training: one loop, and what it is given."""

from reseen.training.folder import RunFolder
from reseen.training.loop import train
from reseen.training.momentum import MoReID
from reseen.training.run import Standing
from reseen.training.schedule import Schedule
from reseen.training.scheme import Plain, Scheme
from reseen.training.terms import Objective, Term

__all__ = ["MoReID", "Objective", "Plain", "RunFolder", "Schedule", "Scheme", "Standing", "Term", "train"]
