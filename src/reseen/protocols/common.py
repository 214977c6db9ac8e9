"""Protocols that are not of one data set: cross-camera matches and their kin.

``cross_camera`` is the rule of Market-1501, DukeMTMC-reID, the new protocol of CUHK03, MSMT17, VeRi-776 (image to
image) and VERI-Wild; a data set may use it under its own name, ``cross_camera(name="MSMT17 V2")``.
"""

from reseen.types import Protocol

cross_camera = Protocol("cross_camera")
"""A picture of the query's identity from the query's own camera is neither positive nor negative."""

any_view = Protocol("any_view", same_camera="keep")
"""Every gallery picture counts, whichever camera took it; no camera needs to be known."""
