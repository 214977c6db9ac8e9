"""Protocols of no single data set, and CUHK03's classic one.

``cross_camera`` is the rule of Market-1501, DukeMTMC-reID, the new protocol of CUHK03, MSMT17, VeRi-776 (image to
image) and VERI-Wild; a data set may use it under its own name, ``cross_camera(name="MSMT17 V2")``.
"""

from reseen.types import Protocol

cross_camera = Protocol("cross_camera")
"""A picture of the query's identity from the query's own camera is neither positive nor negative."""

any_view = Protocol("any_view", same_camera="keep")
"""Every gallery picture counts, whichever camera took it; no camera needs to be known."""


def cuhk03_classic(*, draws: int = 10, seed: int = 0) -> Protocol:
    """The single-shot rule of CUHK03's twenty splits: 1,367 identities to train, 100 to test.

    Query and gallery are both the split's test pictures. For each query, what its own camera took of its identity is
    left out; then one gallery picture of every identity is drawn, and the cumulative match curve is the mean over the
    draws. Average precision is that of the whole gallery. The published figure is the mean over the twenty splits, each
    with its own model, so it is a mean of reports.

    Args:
        draws: How many galleries are drawn for each query.
        seed: Where the draws start.
    """
    return Protocol("cuhk03_classic", draws=draws, seed=seed)
