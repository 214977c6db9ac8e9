"""Who of a video's first half comes back in the second?

    python examples/video_gallery.py MODEL VIDEO BOXES GALLERY [PEOPLE.csv]

MODEL is a run, a checkpoint or an .onnx file; BOXES is what a tracker writes (MOTChallenge's format). A tracker gives a
new number to somebody who comes back; PEOPLE.csv (``track,identity``) says who is who. docs/tutorial_video.md does the
same on the command line, with pictures.
"""

import csv
import sys
from pathlib import Path

import numpy as np

import reseen
from reseen.gallery import Gallery, calibrate, labelled


def main(model: str, video: str, boxes: str, folder: str, people: str | None = None) -> None:
    encoder = reseen.load(model)
    seen = encoder.video(video, boxes, every=5, progress=True)
    tracks = np.array([box.track for box in seen.boxes])
    names = dict(csv.reader(Path(people).read_text().splitlines())) if people else {}
    who = np.array([names.get(str(track), str(track)) for track in tracks])
    first = seen.times < seen.times.max() / 2

    with Gallery(folder, encoder.fingerprint) as gallery:
        gallery.add(
            seen.vectors[first],
            identities=who[first].tolist(),
            tracks=tracks[first].tolist(),
            times=seen.times[first].tolist(),
            sources=[video] * int(first.sum()),
        )
        # Pictures less than three seconds apart are too alike to learn from.
        gallery.put_calibration(calibrate(*labelled(gallery, gap=3.0), rates=(0.1, 0.05, 0.01)))
        print(f"enrolled: {first.sum()} pictures of {len(set(who[first]))} people")

        matches = gallery.search(seen.vectors[~first], 1)
        held = np.isin(who[~first], who[first])
        right = [match.item.identity == name for (match,), name in zip(matches, who[~first], strict=True)]
        print(f"rank 1: {sum(right)} of {held.sum()} pictures of people who are enrolled")

        # A track is one individual: its pictures search together.
        directions = seen.vectors / np.linalg.norm(seen.vectors, axis=1, keepdims=True)
        for track in dict.fromkeys(tracks[~first].tolist()):
            rows = (tracks == track) & ~first
            (match,) = gallery.identify(directions[rows].mean(0, keepdims=True), false_alarms=0.05)
            answer = "nobody known" if match is None else f"{match.item.identity}, seen at {match.item.time:.1f} s"
            truth = who[rows][0] if who[rows][0] in who[first] else "nobody known"
            print(f"track {track}: {answer} ({'right' if answer.startswith(truth) else f'wrong, it is {truth}'})")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        print(__doc__)
    else:
        main(*sys.argv[1:])
