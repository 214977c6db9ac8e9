"""Keep sightings, find who was seen before, and say how sure that is. Needs no torch."""

from reseen.gallery.calibrating import calibrate
from reseen.gallery.decisions import Calibration, Threshold
from reseen.gallery.drawing import labelled
from reseen.gallery.gallery import Gallery
from reseen.gallery.pairs import LabelledPairs, Probes
from reseen.gallery.records import Added, Item, Mark, Match, Where

__all__ = [
    "Added",
    "Calibration",
    "Gallery",
    "Item",
    "LabelledPairs",
    "Mark",
    "Match",
    "Probes",
    "Threshold",
    "Where",
    "calibrate",
    "labelled",
]
