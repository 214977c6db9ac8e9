"""Fidelity: how many pictures of others come before one's own, on training and test pictures."""

from reseen.studies.fidelity.study import fidelity

__all__ = ["fidelity"]
