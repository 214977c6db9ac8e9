"""``reseen discover``."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reseen.cli.models import open_model
from reseen.datasets.custom.samples import folder_samples, table_samples
from reseen.discovery import Clustering, Individuals, Links, pair_links, sample_links
from reseen.discovery import discover as group
from reseen.discovery.agreement import agreement, alone
from reseen.discovery.questions import Probability
from reseen.errors import DataError
from reseen.files import make_folder, write_atomically
from reseen.gallery import Gallery
from reseen.gallery.verdicts import keep_answers, mark_links
from reseen.labels import UNKNOWN
from reseen.pictures import Pixels, decode_bytes
from reseen.reporting import group_name, write_individuals
from reseen.storage import read_picture
from reseen.tables import as_csv
from reseen.terminal import Terminal
from reseen.types import Benchmark, Embeddings, Sample


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Pictures to group.

    Attributes:
        samples: N pictures.
        names: (N,) what each is called in tables of pairs, all different.
        vectors: Of them.
        links: What is known of pairs.
        probability: Of the gallery's calibration, if it has one.
    """

    samples: Sequence[Sample]
    names: Sequence[str]
    vectors: Embeddings
    links: Links
    probability: Probability | None = None


def discover(
    *,
    out: Path,
    gallery: str = "",
    pictures: Path | None = None,
    pattern: str | None = None,
    table: Path | None = None,
    data: Benchmark | None = None,
    model: str | None = None,
    pairs: Path | None = None,
    clustering: Clustering = Clustering(),
    questions: int = 100,
    device: str | None = None,
) -> None:
    """Group pictures without labels into individuals, and say which answers of a person are most valuable.

    Give one of --gallery, --pictures, --table and --data. Writes into --out: individuals.csv, which
    `--data Table` reads, questions.csv, discovery.json and the page index.html.

    What is known of pairs holds whatever the pictures look like: a track shows one individual, tracks that one camera
    sees at one time show several; matches of the gallery that somebody has marked right or wrong; and --pairs, which
    with a gallery is kept there as such marks.

    Args:
        out: Folder for the results; what an earlier call wrote there is written over.
        gallery: A folder, or milvus://host:port/name, whose items are grouped by their vectors.
        pictures: Folder of pictures.
        pattern: Regular expression with groups such as camera, track and time, read from the paths of --pictures.
        table: CSV or Parquet file of path and, where known, camera, track, time and the box to use.
        data: Data set whose training pictures are grouped; their labels are only compared with.
        model: A name, a run, a checkpoint, or an exported file; a published model, which is fetched, if not given. Not
            for a gallery, which has its vectors.
        pairs: Table of first, second and same (yes or no): what a person said, such as questions.csv filled in; its
            answers stand in the new questions.csv again.
        clustering: How to group.
        questions: How many questions to write.
        device: Device of the model; a GPU where there is one if not given.
    """
    sources = [name for name, value in (("gallery", gallery), ("pictures", pictures), ("table", table), ("data", data))
             if value is not None and value != ""]  # fmt: skip
    if len(sources) != 1:
        raise DataError("expected one of --gallery, --pictures, --table or --data; see reseen discover --help")
    if gallery and model is not None:
        raise DataError("expected --gallery without --model, got both; a gallery has its vectors")
    if gallery:
        with Gallery(gallery, create=False) as store:
            picture_set = items_of(store)
            answers = answers_of(pairs, picture_set.names)
            picture_set.links.then(answers).require_consistent(picture_set.names)
            keep_answers(store, answers, picture_set.names)
            _write_groups(
                picture_set, answers, out, clustering, questions, title=f"Individuals in {Path(gallery).name}"
            )
        return
    if data is not None:
        samples: Sequence[Sample] = data.train
        title = data.name
    elif pictures is not None:
        samples, title = folder_samples(pictures, pattern=pattern).samples, pictures.name
    else:
        assert table is not None
        samples, title = table_samples(table).samples, table.stem
    encoder = open_model(model, device)
    vectors = torch.from_numpy(encoder((read_picture(sample) for sample in samples), progress=True))
    names = [picture_name(sample) for sample in samples]
    picture_set = PictureSet(samples, names, Embeddings.of(vectors, samples), sample_links(samples))
    _write_groups(picture_set, answers_of(pairs, names), out, clustering, questions, title=f"Individuals in {title}")


def picture_name(sample: Sample) -> str:
    """Return what a picture is called in tables of pairs: its path, and its box if it has one."""
    return sample.path if sample.box is None else f"{sample.path}#box={','.join(map(str, sample.box))}"


def answers_of(pairs: Path | None, names: Sequence[str]) -> Links:
    """Return what a person said, by the rows of the names."""
    return Links.none() if pairs is None else pair_links(pairs, {name: row for row, name in enumerate(names)})


def items_of(gallery: Gallery) -> PictureSet:
    """Return the items of a gallery.

    Raises:
        DataError: There are none.
    """
    ids = gallery.select(limit=max(1, len(gallery)))
    items = [item for item in gallery.items(ids) if item is not None]
    if not items:
        raise DataError(f"expected items in {gallery.location}, found none; add some with reseen index")
    samples = [
        Sample(
            item.source or item.id,
            UNKNOWN if item.identity is None else item.identity,
            camera=item.camera,
            time=item.time,
            track=item.track,
            draw=KeptPicture(gallery, item.id),
        )
        for item in items
    ]
    names = [item.id for item in items]
    vectors = Embeddings.of(torch.tensor(gallery.vectors(names)), samples)
    links = sample_links(samples).then(mark_links(gallery, {name: row for row, name in enumerate(names)}))
    calibration = gallery.calibration()
    return PictureSet(samples, names, vectors, links, None if calibration is None else calibration.probability)


@dataclass(frozen=True)
class KeptPicture:
    """Draws the small picture that a gallery keeps of an item."""

    gallery: Gallery
    item: str

    def __call__(self) -> Pixels:
        """Return the picture (H, W, 3).

        Raises:
            DataError: None is kept.
        """
        content = self.gallery.picture(self.item)
        if content is None:
            raise DataError(f"expected a picture of {self.item}, found none; index with --thumbnails true")
        return decode_bytes(content, f"the item {self.item}")


def _write_groups(
    pictures: PictureSet, answers: Links, out: Path, clustering: Clustering, num_questions: int, *, title: str
) -> None:
    """Group, write everything and say what there is."""
    result = group(
        pictures.vectors,
        clustering,
        links=pictures.links.then(answers),
        probability=pictures.probability,
        num_questions=num_questions,
    )
    make_folder(out)
    facts = summary(result, pictures)
    write_atomically(out / "individuals.csv", individuals_table(result, pictures).encode())
    write_atomically(out / "questions.csv", questions_table(result, pictures, answers).encode())
    write_atomically(out / "discovery.json", json.dumps(facts, indent=2).encode())
    notes = ("must-links", "cannot-links", "ARI", "V-measure")
    how: dict[str, Any] = {"method": clustering.method, **{name: facts[name] for name in notes if name in facts}}
    page = write_individuals(result, pictures.samples, out / "index.html", title=title, notes=how)
    low, high = result.interval
    console = Terminal()
    console.print(
        f"{len(pictures.samples):,} pictures: {result.clusters.count:,} groups, "
        f"{facts['pictures in none']:,} pictures in none; between {low:,} and {high:,} individuals"
    )
    if "ARI" in facts:
        console.print(f"against the labels: ARI {facts['ARI']:.3f}, V-measure {facts['V-measure']:.3f}")
    console.print(f"written: {out / 'individuals.csv'}, {out / 'questions.csv'}, {page}")


def summary(result: Individuals, pictures: PictureSet) -> dict[str, Any]:
    """Return the figures; those against labels where every picture has one."""
    clusters = result.clusters
    facts: dict[str, Any] = {
        "pictures": len(pictures.samples),
        "groups": clusters.count,
        "pictures in none": int((clusters.labels < 0).sum()),
        "individuals": list(result.interval),
        "silhouette": clusters.silhouette,
        "eps": clusters.eps,
        "trials": [dataclasses.asdict(trial) for trial in clusters.trials],
        "must-links": len(result.links.must),
        "cannot-links": len(result.links.cannot),
    }
    known = np.flatnonzero([sample.identity != UNKNOWN for sample in pictures.samples]).tolist()
    if known:
        agreed = agreement([repr(pictures.samples[row].identity) for row in known], alone(clusters.labels[known]))
        facts |= {"labelled": len(known), "ARI": agreed.ari, "V-measure": agreed.v_measure}
    return facts


def individuals_table(result: Individuals, pictures: PictureSet) -> str:
    """Return who is on each picture as CSV that `Table` reads; pictures in no group have no identity."""
    boxes = any(sample.box is not None for sample in pictures.samples)
    box_columns = ["left", "top", "width", "height"] if boxes else []
    rows = []
    for sample, name, label in zip(pictures.samples, pictures.names, result.clusters.labels.tolist(), strict=True):
        path = sample.path if sample.draw is not None else str(Path(sample.path).absolute())
        box = (sample.box or ("",) * 4) if boxes else ()
        group = group_name(label) if label >= 0 else ""
        rows.append([path, group, sample.camera, sample.track, sample.time, *box, name])
    return as_csv(["path", "identity", "camera", "track", "time", *box_columns, "id"], rows)


def questions_table(result: Individuals, pictures: PictureSet, answers: Links) -> str:
    """Return the questions as CSV, to be filled in and given to --pairs, and below them what was answered before."""
    names = pictures.names
    rows = [
        [names[q.first], names[q.second], "", q.kind, f"{q.probability:.4f}", f"{q.worth:.1f}"]
        for q in result.questions
    ]
    for same, links in (("yes", answers.must), ("no", answers.cannot)):
        rows += [[names[one], names[two], same, "answered", "", ""] for one, two in links.tolist()]
    return as_csv(["first", "second", "same", "kind", "probability", "worth"], rows)
