"""``reseen search GALLERY``."""

import mimetypes
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reseen.cli.answers import answer_tables, before_looking, score_lines, unlike_all, write_search_page
from reseen.cli.models import open_model
from reseen.errors import DataError, GalleryError
from reseen.files import require_new
from reseen.gallery import Gallery, Where
from reseen.gallery.ingest import from_video, naming
from reseen.gallery.queries import of_pictures, of_tracks
from reseen.labels import parse_arguments
from reseen.terminal import Terminal
from reseen.zoo import DEFAULT


def search(
    gallery: str,
    picture: Path,
    /,
    *,
    model: str | None = None,
    k: int = 10,
    by: Literal["picture", "identity", "track"] = "picture",
    cameras: str | int = "",
    since: float | None = None,
    until: float | None = None,
    approximate_above: int | None = None,
    rerank: bool = False,
    false_alarms: float | None = None,
    boxes: Path | None = None,
    begin: float | None = None,
    end: float | None = None,
    every: int = 1,
    people: Path | None = None,
    out: Path | None = None,
    force: bool = False,
    device: str | None = None,
) -> None:
    """Search a gallery: where and when has the individual on a picture been seen?

    Args:
        gallery: A folder, or milvus://host:port/name.
        picture: A picture of one individual, a folder of such pictures, or with --boxes a video, whose tracks are
            searched with: the mean of a track's pictures.
        model: The model that the gallery was indexed with: a name, a run, a checkpoint, or an exported file; a
            published model, which is fetched, if not given.
        k: Number of answers; with 1, all queries are in one table.
        by: Answer with pictures, or with the best picture of each identity or track.
        cameras: Only pictures by this camera, or by these: [gate, 2]. 1 is a number, 001 is text.
        since: Only pictures at this time or later, in seconds.
        until: Only pictures before this time.
        approximate_above: Search larger galleries than this approximately; every item is looked at if not given.
        rerank: Re-rank the best 100 by k-reciprocal encoding.
        false_alarms: Answer "none of these" below the threshold that lets this share of strangers pass; of a
            calibrated gallery.
        boxes: Boxes of the video in MOTChallenge's format, as trackers write it.
        begin: Second of the video to begin at.
        end: Second of the video to end before.
        every: Use every n-th frame of the video.
        people: Table of track and identity, for the tracks of a video, to count right answers.
        out: Also write the answers with their pictures as an HTML page.
        force: Replace a page that is there.
        device: Device of the model; a GPU where there is one if not given.
    """
    if boxes is None and (every != 1 or any(option is not None for option in (begin, end, people))):
        raise DataError("expected --boxes with --begin, --end, --every or --people, got none; they are of a video")
    require_new(out, force=force)
    encoder = open_model(model, device, gallery=gallery, create=False)
    with Gallery(
        gallery, encoder.fingerprint, model_name=model or DEFAULT, create=False, approximate_above=approximate_above
    ) as store:
        where = Where(cameras=None if cameras == "" else parse_arguments(cameras), since=since, until=until)
        store.require_known(where)
        threshold = threshold_of(store, false_alarms)
        if boxes is None:
            if (mimetypes.guess_type(picture)[0] or "").startswith("video"):
                raise DataError(f"expected --boxes with a video, got {picture} alone; let a tracker say who is where")
            queries = of_pictures(picture, encoder)
        else:
            who = naming(people, tracks=False)
            sightings = from_video(picture, boxes, who=who, camera=None, start=0.0, window=(begin, end), every=every)
            queries = of_tracks(sightings, encoder)
        lists = store.search(
            np.stack([query.vector for query in queries]),
            k,
            where=where,
            by=by,
            exact=approximate_above is None,
            rerank=rerank_answers if rerank else None,
        )
        if boxes is not None:  # Calibrated is what two pictures have in common, not a mean of many and one.
            lists = [[replace(match, probability=None) for match in matches] for matches in lists]
        warnings = [] if boxes is not None else unlike_all(store, list(zip(queries, lists, strict=True)), where=where)
        if threshold is not None:
            lists = [[match for match in matches if match.similarity >= threshold] for matches in lists]
        answers = list(zip(queries, lists, strict=True))
        nobody = "no picture to compare with" if threshold is None else "none of these"
        console = Terminal()
        for table in answer_tables(answers, short=k == 1, nobody=nobody):
            console.print(table)
        before = before_looking(store, answers)
        for line in (
            ([] if before is None else [f"probabilities hold {before}"]) + warnings + score_lines(store, answers)
        ):
            console.print(line)
        if out is not None:
            write_search_page(out, store, answers, nobody=nobody, before=before, warnings=warnings)
            console.print(f"page: {out}")


def threshold_of(gallery: Gallery, false_alarms: float | None) -> float | None:
    """Return the similarity below which a query shows nobody known."""
    if false_alarms is None:
        return None
    calibration = gallery.calibration()
    if calibration is None:
        raise GalleryError(
            f"expected a calibrated gallery for --false_alarms, found none at {gallery.location}; "
            "run reseen calibrate on it"
        )
    return calibration.open_set_threshold(false_alarms).threshold


def rerank_answers(query: NDArray[np.float32], answers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return new similarities (n,) of a query (D,) with its answers (n, D), by k-reciprocal encoding among them."""
    import torch

    from reseen.evaluation.reranking import k_reciprocal as encoding
    from reseen.types import Embeddings

    sides = [
        Embeddings(torch.from_numpy(np.ascontiguousarray(side)), np.zeros(len(side))) for side in (query[None], answers)
    ]
    k1 = min(20, len(answers))
    scores: NDArray[np.float32] = -encoding(k1=k1, k2=min(6, k1))(*sides).distances()[0].numpy()
    return scores
