"""Evaluation protocols: which gallery pictures count as positive, negative or neither for a query."""

from reseen.protocols.common import any_view, cross_camera, cuhk03_classic
from reseen.protocols.spectrum import DrawnShots, drawn_gallery, regdb, sysu_mm01
from reseen.protocols.vehicle import vehicle_id, vehicle_id_retrieval, veri_track, veri_wild

__all__ = [
    "DrawnShots",
    "any_view",
    "cross_camera",
    "cuhk03_classic",
    "drawn_gallery",
    "regdb",
    "sysu_mm01",
    "vehicle_id",
    "vehicle_id_retrieval",
    "veri_track",
    "veri_wild",
]
