"""What the server says, as JSON."""

from __future__ import annotations

import math
from typing import Any

from pydantic import BaseModel, Field

from reseen.gallery import Calibration, Item, Match
from reseen.gallery.calibration.calibration import Threshold

FALSE_ALARMS = 0.01
"""The wanted share of strangers who are taken for somebody known."""


class Known(BaseModel):
    """What is known of an item."""

    id: str
    identity: int | str | None
    camera: int | str | None
    track: int | str | None
    time: float | None
    source: str | None
    extra: dict[str, Any]


class Found(Known):
    """One answer of a search; ``picture`` says whether one is kept."""

    similarity: float
    probability: float | None
    picture: bool


class Answer(BaseModel):
    """A search's answers, best first.

    ``query`` names the picture in a mark. Of strangers' searches, a share of ``false_alarms`` has an answer as alike as
    ``threshold``; both are null while the gallery is not calibrated for it.
    """

    query: str
    threshold: float | None
    false_alarms: float | None
    matches: list[Found]


class Kept(BaseModel):
    """A picture that has been added: its id, and whether it was new."""

    id: str
    new: bool


class Verdict(BaseModel):
    """Whether a match was right, kept for the next calibration."""

    model_config = {"extra": "forbid", "strict": True}

    query: str = Field(pattern="^[0-9a-f]{32}$")
    item: str = Field(pattern="^[0-9a-f]{32}$")
    similarity: float = Field(ge=-1.001, le=1.001)
    same: bool


class Facts(BaseModel):
    """What there is to choose from on the page, and how much may be sent."""

    items: int
    cameras: list[int | str]
    since: float | None
    until: float | None
    calibrated: bool
    num_bytes: int
    num_answers: int


class Fault(BaseModel):
    """Why a request is not served, in a sentence."""

    error: str


def as_known(item: Item) -> dict[str, Any]:
    """Return an item's facts by their names."""
    return {name: getattr(item, name) for name in Known.model_fields}


def as_found(match: Match, shown: set[str]) -> Found:
    """Return a match; ``shown`` are the items of which a picture is kept."""
    known = as_known(match.item)
    return Found(**known, similarity=match.similarity, probability=match.probability, picture=match.item.id in shown)


def line(calibration: Calibration | None) -> Threshold | None:
    """Return where strangers end: the threshold at the rate nearest to `FALSE_ALARMS` that the gallery can show."""
    lines = () if calibration is None else calibration.open_set
    return min(lines, key=lambda drawn: abs(math.log(drawn.rate / FALSE_ALARMS)), default=None)
