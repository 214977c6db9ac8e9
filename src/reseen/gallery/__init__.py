"""Keep sightings, find who was seen before, and say how sure that is. Needs no torch."""

from reseen.gallery.calibration.calibration import Calibration, Threshold
from reseen.gallery.calibration.fit import calibrate
from reseen.gallery.calibration.labelled_pairs import labelled
from reseen.gallery.calibration.pairs import LabelledPairs, Probes
from reseen.gallery.gallery import Gallery
from reseen.gallery.records import Added, Compaction, Item, Mark, Match, Where

__all__ = [
    "Added",
    "Calibration",
    "Compaction",
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
