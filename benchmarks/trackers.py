"""Trackers with and without a model of this library, on a video whose true tracks are known, scored by TrackEval.

``python -m benchmarks trackers --video VIDEO --boxes GT --model NAME [--every 1] [--keep 1.0]`` takes the true boxes as
detections, of every so many frames, and leaves some out at random. A tracker that is not installed is passed over.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reseen.adapters import BoxmotModel, DeepSortEmbedder, UltralyticsEncoder
from reseen.embedding.encoder import Encoder, Vectors, load
from reseen.pictures import Pixels
from reseen.video import read_boxes

Boxes = NDArray[np.float64]
Tracks = tuple[NDArray[np.int64], Boxes]
"""Tracks (M,) and their boxes (M, 4)."""
Follow = Callable[[Pixels, Boxes], Tracks]
"""Frame (H, W, 3) BGR and boxes (N, 4), left, top, right, bottom -> tracks."""


def main(flags: Sequence[str] = ()) -> None:
    if not flags:
        print("not run: it wants --video, --boxes and --model; see the docstring")
        return
    parser = argparse.ArgumentParser("python -m benchmarks trackers")
    parser.add_argument("--video", required=True)
    parser.add_argument("--boxes", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--keep", type=float, default=1.0)
    given = parser.parse_args(flags)
    encoder = Remembering(load(given.model))
    print(f"{'':42} switches   IDF1   HOTA   MOTA")
    for name, package, make in TRACKERS:
        if find_spec(package) is None:
            print(f"{name}: {package} is not installed")
            continue
        for model in (None, encoder):
            with contextlib.redirect_stdout(io.StringIO()):
                follow = make(model)
                shown = seen(given.video, given.boxes, every=given.every, keep=given.keep)
                rows = [(truth, follow(frame, boxes)) for frame, boxes, truth in shown]
                scores = scored([truth for truth, _ in rows], [found for _, found in rows])
            what = f"{name} {version(package)}, {'without' if model is None else 'with'}"
            print(
                f"{what:42} {scores['switches']:8.0f} "
                + " ".join(f"{scores[s]:6.1f}" for s in ("IDF1", "HOTA", "MOTA"))
            )


class Remembering(Encoder):
    """Encoder that looks at each crop once, for all trackers are shown the same."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder, self.known = encoder, dict[bytes, Vectors]()
        self.fingerprint, self.dim, self.size = encoder.fingerprint, encoder.dim, encoder.size

    def encode(self, images: Pixels) -> Vectors:
        """Return the vectors (B, D) of pictures (B, H, W, 3) of one size."""
        names = [hashlib.sha256(image.tobytes()).digest() for image in images]
        new = [row for row, name in enumerate(names) if name not in self.known]
        if new:
            self.known |= dict(zip([names[row] for row in new], self.encoder.encode(images[new]), strict=True))
        return np.stack([self.known[name] for name in names])


def seen(video: str, boxes: str, *, every: int, keep: float) -> Iterator[tuple[Pixels, Boxes, Tracks]]:
    """Yield frame, detections, and the true tracks with their boxes."""
    import av

    of_frame = defaultdict(list)
    for boxed in read_boxes(boxes):
        of_frame[boxed.frame].append(boxed)
    chance = np.random.default_rng(0)
    with av.open(video) as file:
        for number, frame in enumerate(file.decode(video=0), start=1):
            if (number - 1) % every or number > max(of_frame):
                continue
            corners = np.array([boxed.box for boxed in of_frame[number]], dtype=np.float64).reshape(-1, 4)
            corners[:, 2:] += corners[:, :2]
            tracks = np.array([boxed.track for boxed in of_frame[number]], dtype=np.int64)
            yield frame.to_ndarray(format="bgr24"), corners[chance.random(len(corners)) < keep], (tracks, corners)


def ultralytics(encoder: Encoder | None) -> Follow:
    from ultralytics.engine.results import Boxes as Detected
    from ultralytics.trackers.bot_sort import BOTSORT
    from ultralytics.utils import YAML, IterableSimpleNamespace
    from ultralytics.utils.checks import check_yaml

    settings = YAML.load(check_yaml("botsort.yaml")) | {"gmc_method": "none"}
    tracker = BOTSORT(IterableSimpleNamespace(**settings))
    if encoder is not None:
        UltralyticsEncoder(encoder).attach(SimpleNamespace(trackers=[tracker]))

    def follow(frame: Pixels, boxes: Boxes) -> Tracks:
        rows = np.concatenate([boxes, np.tile([0.9, 0], (len(boxes), 1))], axis=1).astype(np.float32)
        found = np.asarray(tracker.update(Detected(rows, frame.shape[:2]), frame)).reshape(-1, 8)
        return found[:, 4].astype(np.int64), found[:, :4]

    return follow


def boxmot(name: str) -> Callable[[Encoder | None], Follow]:
    def make(encoder: Encoder | None) -> Follow:
        import boxmot

        options: dict[str, Any] = {"cmc_off": True} if name == "DeepOcSort" else {"cmc_method": None}
        model = {} if encoder is None else {"reid_model": BoxmotModel(encoder)}
        tracker = getattr(boxmot, name)(use_embeddings=encoder is not None, **options, **model)

        def follow(frame: Pixels, boxes: Boxes) -> Tracks:
            rows = np.concatenate([boxes, np.tile([0.9, 0], (len(boxes), 1))], axis=1).astype(np.float32)
            found = np.asarray(tracker.update(rows, frame))
            found = found.reshape(len(found), -1) if len(found) else np.empty((0, 8))
            return found[:, 4].astype(np.int64), found[:, :4].astype(np.float64)

        return follow

    return make


def deep_sort(encoder: Encoder | None) -> Follow:
    from deep_sort_realtime.deepsort_tracker import DeepSort

    tracker = DeepSort(embedder=None)
    if encoder is not None:
        tracker.embedder = DeepSortEmbedder(encoder)

    def follow(frame: Pixels, boxes: Boxes) -> Tracks:
        rows = [([left, top, right - left, bottom - top], 0.9, "person") for left, top, right, bottom in boxes]
        alike = {} if encoder is not None else {"embeds": np.ones((len(rows), 1))}
        tracks = [
            t for t in tracker.update_tracks(rows, frame=frame, **alike) if t.is_confirmed() and not t.time_since_update
        ]
        found = [(int(track.track_id), track.to_ltrb(orig=True)) for track in tracks]
        return np.array([n for n, _ in found], dtype=np.int64), np.array([b for _, b in found]).reshape(-1, 4)

    return follow


TRACKERS: tuple[tuple[str, str, Callable[[Encoder | None], Follow]], ...] = (
    ("ultralytics BoT-SORT", "ultralytics", ultralytics),
    ("BoxMOT BotSort", "boxmot", boxmot("BotSort")),
    ("BoxMOT DeepOcSort", "boxmot", boxmot("DeepOcSort")),
    ("deep-sort-realtime", "deep_sort_realtime", deep_sort),
)


def scored(truth: Sequence[Tracks], found: Sequence[Tracks]) -> dict[str, float]:
    """Return identity switches, and in percent IDF1, HOTA and MOTA."""
    from trackeval.metrics import CLEAR, HOTA, Identity

    (true_ids, num_true), (found_ids, num_found) = (numbered([ids for ids, _ in rows]) for rows in (truth, found))
    data = {
        "gt_ids": true_ids,
        "tracker_ids": found_ids,
        "num_gt_ids": num_true,
        "num_tracker_ids": num_found,
        "num_gt_dets": sum(map(len, true_ids)),
        "num_tracker_dets": sum(map(len, found_ids)),
        "num_timesteps": len(truth),
        "similarity_scores": [overlap(a, b) for (_, a), (_, b) in zip(truth, found, strict=True)],
    }
    clear, identity, hota = (metric.eval_sequence(data) for metric in (CLEAR(), Identity(), HOTA()))
    percent = {"IDF1": identity["IDF1"], "HOTA": np.mean(hota["HOTA"]), "MOTA": clear["MOTA"]}
    return {"switches": float(clear["IDSW"])} | {name: 100 * float(value) for name, value in percent.items()}


def numbered(ids: Sequence[NDArray[np.int64]]) -> tuple[list[NDArray[np.int64]], int]:
    """Return numbers from 0 in place of ids, and how many there are."""
    known = np.unique(np.concatenate(ids))
    return [np.searchsorted(known, each) for each in ids], len(known)


def overlap(one: Boxes, other: Boxes) -> Boxes:
    """Return the intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    corner = np.maximum(one[:, None, :2], other[None, :, :2])
    size = np.clip(np.minimum(one[:, None, 2:], other[None, :, 2:]) - corner, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (one, other)]
    return size / np.maximum(areas[0][:, None] + areas[1][None] - size, 1e-9)
