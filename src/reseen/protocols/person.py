"""CUHK03 as it was first published; its new protocol is ``cross_camera``."""

from reseen.types import Protocol


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
