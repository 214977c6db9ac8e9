"""Who of a video's first half comes back in the second?

    python examples/video_gallery.py MODEL VIDEO BOXES GALLERY [PEOPLE.csv]

MODEL is a run, a checkpoint or an .onnx file; BOXES is what a tracker writes (MOTChallenge's format). A tracker gives a
new number to somebody who comes back; PEOPLE.csv (``track,person``) says who is who, for the score.
"""

import csv
import sys
from collections import Counter, defaultdict
from pathlib import Path

import reseen.gallery
from reseen.encoding import load
from reseen.gallery import Gallery, labelled
from reseen.pictures import digest, thumbnail
from reseen.video import crops, read_boxes

EVERY = 5  # frames: neighbouring ones show the same


def main(model: str, video: str, boxes: str, folder: str, people: str | None = None) -> None:
    encoder = load(model)
    names = (
        {row["track"]: row["person"] for row in csv.DictReader(Path(people).read_text().splitlines())} if people else {}
    )
    found = list(crops(video, read_boxes(boxes), every=EVERY))
    vectors = encoder([crop.pixels for crop in found], progress=True)
    who = [names.get(str(crop.boxed.track), str(crop.boxed.track)) for crop in found]
    middle = found[-1].time / 2
    first = [n for n, crop in enumerate(found) if crop.time < middle]
    second = [n for n, crop in enumerate(found) if crop.time >= middle]

    with Gallery(folder, encoder.fingerprint) as gallery:
        gallery.add(
            vectors[first],
            identities=[who[n] for n in first],
            cameras=[Path(video).stem] * len(first),
            tracks=[found[n].boxed.track for n in first],
            times=[found[n].time for n in first],
            sources=[f"{Path(video).name}#frame={found[n].boxed.frame}" for n in first],
            pictures=[thumbnail(found[n].pixels) for n in first],
            contents=[digest(found[n].pixels) for n in first],
        )
        # Pictures less than three seconds apart are too alike to learn from.
        calibration = reseen.gallery.calibrate(*labelled(gallery, gap=3.0), rates=(0.1, 0.05, 0.01))
        gallery.put_calibration(calibration)
        threshold = calibration.open_set_threshold(0.05).threshold
        answers = gallery.search(vectors[second], 1, by="identity")

    enrolled = {who[n] for n in first}
    known = [(n, match) for n, (match,) in zip(second, answers, strict=True) if who[n] in enrolled]
    strangers = [(n, match) for n, (match,) in zip(second, answers, strict=True) if who[n] not in enrolled]
    right = sum(match.item.identity == who[n] for n, match in known)
    named = sum(match.item.identity == who[n] and match.similarity >= threshold for n, match in known)
    alarms = sum(match.similarity >= threshold for _, match in strangers)
    print(f"enrolled: {len(first)} pictures of {len(enrolled)} people")
    print(f"rank 1: {right} of {len(known)} pictures ({right / len(known):.1%})")
    print(f"none of these, below {threshold:.3f}: {named / len(known):.1%} of the known are named rightly,", end=" ")
    print(f"{alarms} of {len(strangers)} pictures of strangers get a name")

    # A track is one person: its pictures vote.
    votes: dict[int, Counter[str]] = defaultdict(Counter)
    for n, match in known + strangers:
        votes[found[n].boxed.track][match.item.identity if match.similarity >= threshold else "nobody known"] += 1
    for track, count in sorted(votes.items()):
        (answer, share), *_ = count.most_common()
        truth = next(who[n] for n in second if found[n].boxed.track == track)
        truth = truth if truth in enrolled else "nobody known"
        verdict = "right" if answer == truth else f"wrong, it is {truth}"
        print(f"track {track}: {answer} ({share} of {sum(count.values())} pictures), {verdict}")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        print(__doc__)
    else:
        main(*sys.argv[1:])
