"""Calibration of a gallery: similarities to probabilities, and thresholds at a rate of false positives."""

# Not labelled_pairs: it draws from a gallery, and a gallery reads its calibration.
from reseen.gallery.calibration.calibration import Bin, Calibration, Fit, Threshold
from reseen.gallery.calibration.fit import calibrate
from reseen.gallery.calibration.pairs import LabelledPairs, Probes

__all__ = ["Bin", "Calibration", "Fit", "LabelledPairs", "Probes", "Threshold", "calibrate"]
