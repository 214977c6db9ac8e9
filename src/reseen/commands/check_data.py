"""``reseen check-data``."""

from pathlib import Path

from reseen.datasets.checks.check import check
from reseen.errors import DataError
from reseen.extras import needs
from reseen.files import make_folder
from reseen.storage import read_picture
from reseen.terminal import Terminal
from reseen.types import Benchmark


def check_data(*, data: Benchmark, out: Path | None = None) -> None:
    """Check a data set: count its pictures and look for errors that would spoil a result.

    Reads every picture. Looks for files that cannot be read, the same file under two names, identities in training and
    test, and queries that nothing matches. Exits with 1 if a result on this data would not mean what it seems to.

    Args:
        data: The data set, as in `--data Table --data.path FILE.csv`.
        out: File for a plot of the counts: .png, .svg or .pdf.
    """
    checked = check(data, read_picture, progress=True)
    console = Terminal()
    console.print(checked)
    if out is not None:
        with needs("plots"):
            from reseen.datasets.checks.plot import plot  # matplotlib takes a while.

        make_folder(out.parent)
        plot(checked, out)
        console.print(f"drawn: {out}")
    if checked.spoils:
        count = sum(finding.spoils for finding in checked.findings)
        raise DataError(
            f"expected data that spoils no result, found {count} findings that do in {data.name}; mend them"
        )
