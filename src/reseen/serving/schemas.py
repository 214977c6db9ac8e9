"""JSON of requests and answers."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from reseen.gallery import Calibration, Item, Match
from reseen.gallery.calibration.calibration import Threshold
from reseen.serving.validation import checked_label

FALSE_ALARMS = 0.01
"""The wanted share of unknown individuals that are taken for a known one."""

Hex = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
IdentityField = Annotated[int | str, AfterValidator(lambda value: checked_label(value, "identity"))]


class ItemInfo(BaseModel):
    """An item without its picture."""

    id: str
    identity: int | str | None
    camera: int | str | None
    track: int | str | None
    time: float | None
    source: str | None
    extra: dict[str, Any]


class SearchMatch(ItemInfo):
    """A match of a search.

    ``picture`` says whether one is kept, ``is_copy`` whether it is the very picture that is searched with.
    """

    similarity: float
    probability: float | None
    picture: bool
    is_copy: bool


class SearchResponse(BaseModel):
    """The matches of a search, best first.

    ``query`` names the picture in feedback. Of searches for unknown individuals, a share of ``false_alarms`` has a
    match as similar as ``threshold``; both are null while the gallery is not calibrated for it. Probabilities hold if
    it was ``prior`` before that an item shows the individual; ``unfamiliar``: the picture is unlike every one of the
    gallery, and they do not hold.
    """

    query: str
    threshold: float | None
    false_alarms: float | None
    prior: float | None
    unfamiliar: bool
    matches: list[SearchMatch]


class ItemAdded(BaseModel):
    """A picture that has been added: its id, and whether it was new."""

    id: str
    new: bool


class GalleryInfo(BaseModel):
    """Size, cameras and times of the gallery, and limits of requests."""

    items: int
    cameras: list[int | str]
    since: float | None
    until: float | None
    calibrated: bool
    num_bytes: int
    num_answers: int


class ErrorResponse(BaseModel):
    """Why a request is not served, in one sentence."""

    error: str


class RequestModel(BaseModel):
    """Base class of JSON bodies: no unknown fields, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class FeedbackRequest(RequestModel):
    """Whether a match was right, kept for the next calibration; null takes back what was said."""

    query: Hex
    item: Hex
    similarity: float = Field(ge=-1.001, le=1.001)
    same: bool | None


class RelabelRequest(RequestModel):
    """Who an item shows; null for nobody known."""

    identity: IdentityField | None


class RenameRequest(RequestModel):
    """An identity's new name; where another has it already, the two become one."""

    identity: IdentityField
    new: IdentityField


def item_fields(item: Item) -> dict[str, Any]:
    """Return the fields of `ItemInfo`."""
    return {name: getattr(item, name) for name in ItemInfo.model_fields}


def as_match(match: Match, pictured: set[str]) -> SearchMatch:
    """Return a match; ``pictured`` are the items of which a picture is kept."""
    return SearchMatch(
        **item_fields(match.item),
        similarity=match.similarity,
        probability=match.probability,
        picture=match.item.id in pictured,
        is_copy=match.is_copy,
    )


def open_set_threshold(calibration: Calibration | None) -> Threshold | None:
    """Return the open-set threshold at the rate nearest to `FALSE_ALARMS` that the gallery can show."""
    thresholds = () if calibration is None else calibration.open_set
    return min(thresholds, key=lambda each: abs(math.log(each.rate / FALSE_ALARMS)), default=None)
