"""Check of a data set: its contents, and errors in it that would spoil a result.

::

    from reseen.storage import read_picture
    checked = check(Market1501("Market-1501-v15.09.15"), read)
    rich.print(checked)
    plot(checked, "market.png")
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Group
from rich.progress import track
from rich.table import Table as Grid
from rich.text import Text

from reseen.errors import DataError
from reseen.labels import visible
from reseen.types import Benchmark, Camera, Protocol, Sample

if TYPE_CHECKING:
    import pandas as pd

PARTS = ("train", "query", "gallery")
EXAMPLES = 5
FEW_LEVELS = 16


class Finding(NamedTuple):
    """Finding of a check: an error of the data, or something odd in it.

    Attributes:
        spoils: Whether a result on this data set would mean something else than it seems to.
        message: What was found, how often, and what follows from it.
        examples: A few of the pictures or identities concerned.
    """

    spoils: bool
    message: str
    examples: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DataCheck:
    """Result of a check: counts and findings.

    Attributes:
        name: Of the benchmark.
        protocol: The name of its protocol.
        pictures: A row for each picture of each part: part, path, identity, camera (None where unknown), modality,
            height, width (0 where it cannot be read), levels (distinct values of the colour channel that has most),
            digest (the same for the same bytes), fault (empty for none).
        findings: What spoils a result first.
    """

    name: str
    protocol: str
    pictures: pd.DataFrame
    findings: tuple[Finding, ...]

    @property
    def spoils(self) -> bool:
        """Whether any finding spoils a result."""
        return any(finding.spoils for finding in self.findings)

    def __rich__(self) -> Group:
        """Draw the check for a terminal."""
        lines = []
        for finding in self.findings:
            word, style = ("spoils", "bold red") if finding.spoils else ("note", "yellow")
            lines.append(Text.assemble((f"{word:>6}  ", style), visible(finding.message)))
            lines += [Text(f"        {visible(example)}", style="dim") for example in finding.examples]
        verdict = Text("Nothing here would spoil a result." if not self.spoils else "This would spoil a result.")
        return Group(_parts_grid(self), _cameras_grid(self.pictures), *lines, verdict)


def check(benchmark: Benchmark, read: Callable[[Sample], NDArray[np.uint8]], *, progress: bool = False) -> DataCheck:
    """Check a benchmark: read every picture, count, and look for errors.

    Args:
        benchmark: The data set.
        read: Gives a sample's picture (H, W, 3), or raises a DataError: ``reseen.storage.read_picture``.
        progress: Draw a bar.
    """
    import pandas as pd  # Here, not above: data sets have their checks, and are used without.

    samples = [(part, sample) for part in PARTS for sample in getattr(benchmark, part)]
    distinct = {(s.path, s.box): s for _, s in samples}
    # Threads suffice: decoding and hashing let go of the interpreter.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = track(
            pool.map(lambda sample: _examine(sample, read), distinct.values()),
            "Reading pictures",
            total=len(distinct),
            disable=not progress,
        )
        examined = dict(zip(distinct, results, strict=True))
    pictures = pd.DataFrame(
        [(part, s.path, s.identity, s.camera, s.modality, *examined[s.path, s.box]) for part, s in samples],
        columns=["part", "path", "identity", "camera", "modality", "height", "width", "levels", "digest", "fault"],
    ).astype({"identity": object, "camera": object, "modality": object})
    findings = [
        *_finding(True, "pictures that cannot be read", pictures.fault[pictures.fault != ""].drop_duplicates()),
        *_flat(pictures),
        *_copies(pictures, benchmark.protocol),
        *_shared_identities(pictures, benchmark),
        *_unmatched(pictures, benchmark.protocol),
        *_lonely(pictures),
    ]
    findings.sort(key=lambda finding: not finding.spoils)
    return DataCheck(benchmark.name, benchmark.protocol.name, pictures, tuple(findings))


def _examine(sample: Sample, read: Callable[[Sample], NDArray[np.uint8]]) -> tuple[int, int, int, str, str]:
    """Return a picture's height, width, levels, digest and fault."""
    try:
        pixels = read(sample)
        content = pixels.tobytes() if sample.draw is not None else Path(sample.path).read_bytes()
    except (DataError, OSError) as error:
        return 0, 0, 0, "", str(error)
    levels = max(np.count_nonzero(np.bincount(channel.ravel(), minlength=256)) for channel in pixels.transpose(2, 0, 1))
    digest = hashlib.blake2b(content + repr(sample.box).encode(), digest_size=16).hexdigest()
    return *pixels.shape[:2], int(levels), digest, ""


def _finding(spoils: bool, message: str, examples: Iterable[object]) -> list[Finding]:
    """Return the finding with the number of its examples, or nothing where there are none."""
    every = [str(example) for example in examples]
    more = [f"and {len(every) - EXAMPLES:,} more"] if len(every) > EXAMPLES else []
    return [Finding(spoils, f"{message}: {len(every):,}", (*every[:EXAMPLES], *more))] if every else []


def _flat(pictures: pd.DataFrame) -> list[Finding]:
    """Find pictures that show next to nothing, as those do whose values were cut when they were written."""
    large = pictures.height * pictures.width > FEW_LEVELS**2
    flat, few = pictures.path[pictures.levels == 1], pictures.path[pictures.levels.between(2, FEW_LEVELS) & large]
    return [
        *_finding(True, "pictures of one single colour, which show nobody", flat.drop_duplicates()),
        *_finding(False, f"pictures of at most {FEW_LEVELS} levels of each colour", few.drop_duplicates()),
    ]


def _copies(pictures: pd.DataFrame, protocol: Protocol) -> list[Finding]:
    """Find pictures with the same bytes, and sort them by what they do to a result."""
    groups: dict[str, list[str]] = {"identities": [], "trained": [], "matches": [], "harmless": []}
    readable = pictures[pictures.digest != ""]
    for _, copies in readable[readable.duplicated("digest", keep=False)].groupby("digest", sort=False):
        query, gallery = copies[copies.part == "query"], copies[copies.part == "gallery"]
        if copies.identity.nunique() > 1:
            kind = "identities"
        elif {"train"} < set(copies.part):
            kind = "trained"
        elif len(query) and len(gallery) and _counts(query, gallery, protocol):
            kind = "matches"
        elif copies.path.nunique() > 1:
            kind = "harmless"
        else:  # one file that is query and in the gallery, where it does not count
            continue
        groups[kind].append(" = ".join(dict.fromkeys(copies.path)))
    return [
        *_finding(True, "pictures with copies, byte for byte, under another identity", groups["identities"]),
        *_finding(True, "pictures to train on with copies among those to test on", groups["trained"]),
        *_finding(True, "queries with copies in the gallery that count as matches", groups["matches"]),
        *_finding(False, "pictures with copies, byte for byte, of the same identity", groups["harmless"]),
    ]


def _counts(query: pd.DataFrame, gallery: pd.DataFrame, protocol: Protocol) -> bool:
    """Return whether one of these gallery pictures is a match for one of these queries, all of one identity."""
    if protocol.trials is not None:  # the protocol itself draws which picture is on which side
        return False
    return protocol.same_camera == "keep" or any(set(gallery.camera) - {camera} for camera in query.camera)


def _shared_identities(pictures: pd.DataFrame, benchmark: Benchmark) -> list[Finding]:
    trained = set(pictures.identity[pictures.part == "train"])
    tested = set(pictures.identity[pictures.part != "train"]) - benchmark.distractors
    return _finding(True, "identities both trained on and tested on", sorted(trained & tested, key=str))


def _unmatched(pictures: pd.DataFrame, protocol: Protocol) -> list[Finding]:
    query, gallery = pictures[pictures.part == "query"], pictures[pictures.part == "gallery"]
    if query.empty or protocol.trials is not None:
        return []
    cameras = gallery.groupby("identity").camera.agg(set).to_dict()
    excluded = protocol.same_camera == "exclude"
    unmatched = [
        path
        for path, identity, camera in zip(query.path, query.identity, query.camera, strict=True)
        if not cameras.get(identity, set()) - ({camera} if excluded else set())
    ]
    if len(unmatched) == len(query):
        return _finding(True, "no query has a match; queries", unmatched)
    return _finding(False, "queries without a match, which are left out and counted", unmatched)


def _lonely(pictures: pd.DataFrame) -> list[Finding]:
    """Find identities which give no pair to train on, or none across cameras, and unknown cameras."""
    train = pictures[pictures.part == "train"].groupby("identity")
    single = [identity for identity, n in train.size().items() if n == 1]
    seen = train.camera.nunique()
    known = bool(pictures.camera.notna().any())
    one_camera = [identity for identity, n in seen.items() if n == 1 and identity not in set(single)] if known else []
    findings = _finding(False, "identities to train on with one picture, hence without a positive pair", single)
    findings += _finding(False, "identities to train on seen by one camera only", one_camera)
    unknown = pictures.path[pictures.camera.isna()]
    return findings + _finding(
        False, "pictures without a camera, beside others with one", unknown if known else unknown.head(0)
    )


def _parts_grid(checked: DataCheck) -> Grid:
    """Lay out what each part holds; three numbers are the smallest, the median and the largest."""
    grid = Grid("", title=Text(visible(f"{checked.name}, {checked.protocol}")), title_justify="left")
    grid.caption, grid.caption_justify = "three numbers: smallest / median / largest", "left"
    columns = []
    for part in PARTS:
        rows = checked.pictures[checked.pictures.part == part]
        readable = rows[rows.fault == ""]
        by_camera = rows.groupby(["identity", "camera"], sort=False).size()
        columns.append(
            (
                f"{len(rows):,}",
                f"{rows.identity.nunique():,}",
                f"{rows.camera.nunique():,}" if rows.camera.notna().any() else "unknown",
                _spread(rows.groupby("identity", sort=False).size()),
                _spread(by_camera),
                _spread(readable.height),
                _spread(readable.width),
            )
        )
        grid.add_column(part, justify="right")
    names = ("pictures", "identities", "cameras", "pictures of an identity", "... by one camera", "height", "width")
    for name, *cells in zip(names, *columns, strict=True):
        grid.add_row(name, *cells)
    return grid


def _spread(counts: pd.Series[int]) -> str:
    values = [int(q) for q in np.quantile(counts, [0, 0.5, 1])] if len(counts) else []
    return " / ".join(f"{value:,}" for value in values[: 1 if len(set(values)) == 1 else 3])


def _cameras_grid(pictures: pd.DataFrame) -> Grid:
    """Lay out the pictures of each camera."""
    counts = Counter(zip(pictures.camera, pictures.part, strict=True))
    grid = Grid("camera", title="Pictures by camera", title_justify="left")
    for part in PARTS:
        grid.add_column(part, justify="right")
    for camera in sorted({camera for camera, _ in counts}, key=order):
        name = Text("unknown" if camera is None else visible(str(camera)))
        grid.add_row(name, *(f"{counts[camera, part]:,}" for part in PARTS))
    return grid


def order(camera: Camera | None) -> tuple[str, Camera | None]:
    """Return the sort key of a camera: numbers, then names, then unknown."""
    return ("2" if camera is None else str(int(isinstance(camera, str)))), camera
