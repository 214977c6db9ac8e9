"""Gallery: items kept with their vectors and labels, and searched by similarity.

Dimensions: N items, Q queries, D components of a vector, k answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reseen.errors import GalleryError
from reseen.gallery.backends.base import ImportState, open_backend
from reseen.gallery.calibration.calibration import Calibration
from reseen.gallery.records import EVERYTHING, Added, Compaction, Item, Label, Mark, Match, Where
from reseen.gallery.rows import Rows, as_column, as_rows, as_vectors, checked_ids, normalized
from reseen.gallery.search import CALIBRATION, AnswerReranking, By, answers, calibration_of
from reseen.labels import listed, visible

MODEL_NAME = "model name"
"""The note that the name of a gallery's model is kept under."""
CHANGEABLE = ("identity", "camera", "track", "time", "source", "extra")


class Gallery:
    """Gallery: items with vectors, identities, cameras and times, searched by similarity.

    Args:
        location: A folder of this machine (SQLite and FAISS), ``"milvus://host:port/name"``, ``"milvus+https://..."``,
            or ``"milvus-lite://file.db/name"``.
        model: The fingerprint of the model that makes the vectors; a gallery of another model is refused. None takes
            the gallery as it is.
        create: Make the gallery where there is none.
        approximate_above: More items than this are searched approximately, by inverted lists; None, the default,
            searches every number exactly.
        recall: What an approximate search must find of the ten nearest, 0.99 if not given; how far it looks is measured
            on the gallery.
        index: On Milvus, the kind of index for approximate search: IVF_FLAT, HNSW, IVF_SQ8, DISKANN or SCANN.
        breadth: On Milvus, how far an approximate search looks (nprobe, ef, search_list), in place of measuring it.
        model_name: What the model is called in messages, such as its path; kept with a gallery that is begun.
        import_storage: On Milvus, a folder or URL of the server's own storage, for `start_import`.
        import_path: What the server calls it, where that is neither the folder's path nor the URL's below its bucket.

    Raises:
        GalleryError: There is no such gallery, it cannot be read, its vectors are another model's, or an option is of
            no use to its backend.

    Note:
        Vectors are compared by cosine. On Milvus each call is whole or not at all as far as Milvus makes it so (one
        request is; adding more than `reseen.gallery.backends.milvus.backend.BATCH` rows takes several).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Gallery(f"{folder}/cows") as gallery:
        ...     added = gallery.add([[1.0, 0.0], [0.0, 1.0]], identities=["bella", "alma"], cameras=["gate", "barn"])
        ...     ((match,),) = gallery.search([[0.9, 0.1]], k=1)
        >>> match.item.identity, round(match.similarity, 2)
        ('bella', 0.99)
    """

    def __init__(
        self,
        location: str | Path,
        model: str | None = None,
        *,
        create: bool = True,
        approximate_above: int | None = None,
        recall: float | None = None,
        index: str | None = None,
        breadth: int | None = None,
        model_name: str | None = None,
        import_storage: str | None = None,
        import_path: str | None = None,
    ) -> None:
        if recall is not None and not 0 < recall <= 1:
            raise ValueError(f"expected recall above 0 and at most 1, got {recall}")
        self._asked_model, self._asked_name = model, model_name
        self._closed = False
        self._backend = open_backend(
            str(location),
            create=create,
            approximate_above=approximate_above,
            recall=recall,
            index=index,
            breadth=breadth,
            import_storage=import_storage,
            import_path=import_path,
        )
        self.location = self._backend.location
        try:
            self._check_model()
        except GalleryError:
            self._backend.close()
            raise

    def __enter__(self) -> Gallery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count()

    @property
    def model(self) -> str | None:
        """The fingerprint of the model whose vectors these are."""
        return self._backend.model or self._asked_model

    def add(
        self,
        vectors: ArrayLike,
        *,
        identities: Sequence[Label | None] | None = None,
        cameras: Sequence[Label | None] | None = None,
        tracks: Sequence[Label | None] | None = None,
        times: Sequence[float | None] | None = None,
        sources: Sequence[str | None] | None = None,
        extras: Sequence[Mapping[str, Any] | None] | None = None,
        pictures: Sequence[bytes | None] | None = None,
        contents: Sequence[bytes] | None = None,
        look_up: bool = True,
    ) -> Added:
        """Keep N sightings, all or none of them.

        The same picture (or else vector) from the same camera, track, time and source is the same sighting: adding it
        again changes nothing, also when its identity has been changed since.

        Args:
            vectors: (N, D).
            identities: Who each is, None where unknown; so with the other columns.
            cameras: Where each was seen.
            tracks: The unbroken sequence each belongs to.
            times: When, in seconds of any one clock.
            sources: Where each picture came from; kept to be shown, never opened.
            extras: Anything else that JSON can hold.
            pictures: Small JPEG files to show.
            contents: Digests of the pictures, which name a sighting in place of its vector: a network gives the same
                picture slightly other vectors in another batch.
            look_up: On a server, look first for the sightings that are held. False writes these over, with the identity
                given now, and counts all as new: quicker, for many that are not held. A folder needs no look-up.

        Raises:
            ValueError: A column does not have N entries, or the vectors are not (N, D) and finite.
            GalleryError: The gallery has vectors of another dimension or model, or cannot be written.
        """
        rows = self._checked(
            vectors,
            identities=identities,
            cameras=cameras,
            tracks=tracks,
            times=times,
            sources=sources,
            extras=extras,
            pictures=pictures,
            contents=contents,
        )
        if not len(rows):
            return Added((), 0)
        return Added(tuple(rows.ids), self._backend.add(rows, look_up=look_up))

    def start_import(
        self,
        vectors: ArrayLike,
        *,
        identities: Sequence[Label | None] | None = None,
        cameras: Sequence[Label | None] | None = None,
        tracks: Sequence[Label | None] | None = None,
        times: Sequence[float | None] | None = None,
        sources: Sequence[str | None] | None = None,
        contents: Sequence[bytes] | None = None,
    ) -> str | None:
        """Begin to take in N sightings from a file, on a server that offers it and whose ``import_storage`` is named.

        Sightings that are held are written over. One process at a time may import the same ones.

        Args:
            vectors: (N, D); the columns are as in `add`.
            identities: Who each is.
            cameras: Where each was seen.
            tracks: The unbroken sequence each belongs to.
            times: When.
            sources: Where each picture came from.
            contents: Digests of the pictures.

        Returns:
            The job, for `import_state`; None where nothing was begun, and `add` is the way.

        Raises:
            ValueError: As `add`.
            GalleryError: Likewise, or the server refuses it.
        """
        rows = self._checked(
            vectors,
            identities=identities,
            cameras=cameras,
            tracks=tracks,
            times=times,
            sources=sources,
            extras=None,
            pictures=None,
            contents=contents,
        )
        return self._backend.start_import(rows) if len(rows) else None

    def import_state(self, job: str) -> ImportState:
        """Return how far an import is."""
        return self._backend.import_state(job)

    def finish_imports(self) -> None:
        """Wait until no import of this gallery is running; searches then find all rows of those that are complete."""
        self._backend.finish_imports()

    def _checked(self, vectors: ArrayLike, **columns: Any) -> Rows:
        """Return rows that fit the gallery, which is begun where it has none."""
        checked = as_vectors(vectors)
        rows = as_rows(checked, **columns)
        if len(rows):
            if self._backend.dim is None:
                self._backend.begin(self._asked_model, checked.shape[1])
                if self._asked_name is not None:
                    self._backend.put_note(MODEL_NAME, self._asked_name)
            self._check_fit(checked)
        return rows

    def update(self, ids: Sequence[str], **changes: Any) -> int:
        """Change items and return how many there were.

        Args:
            ids: Whose columns to set; one that is not held is passed over.
            changes: Any of ``identity``, ``camera``, ``track``, ``time``, ``source`` and ``extra``.

        Raises:
            ValueError: There is no such column, an id is not well formed, or a value is of the wrong type.
        """
        unknown = sorted(set(changes) - set(CHANGEABLE))
        if unknown or not changes:
            raise ValueError(f"expected changes of {', '.join(CHANGEABLE)}, got {', '.join(unknown) or 'none'}")
        return self._backend.update(checked_ids(ids), {name: as_column(name, value) for name, value in changes.items()})

    def relabel(self, items: Sequence[str], identity: Label | None) -> int:
        """Set who items show and return how many of them showed somebody else, or nobody, before.

        Args:
            items: Ids; one that is not held is passed over.
            identity: Who they show; None where unknown.

        Raises:
            ValueError: An id is not well formed, or the identity is no integer of 64 bits and no text.
        """
        new = as_column("identity", identity)
        if self._backend.dim is None:
            return 0
        others = [item.id for item in self.items(items) if item is not None and item.identity != new]
        return self._backend.update(others, {"identity": new}) if others else 0

    def rename(self, identity: Label, new: Label) -> int:
        """Give an individual another name and return how many items changed.

        Where the new name is held already, the two become one: identities are merged. On one machine all of it happens
        or nothing; Milvus renames 500 items at a time, and a broken call can be repeated.

        Args:
            identity: Who; 7 and ``"7"`` are two. Nothing changes where the gallery has nobody of this name.
            new: The name from now on.

        Raises:
            ValueError: One of them is no integer of 64 bits and no text.
        """
        if identity is None or new is None:
            raise ValueError(f"expected two identities, got {identity!r} and {new!r}; relabel takes None")
        identity, new = as_column("identity", identity), as_column("identity", new)
        return self._backend.rename(identity, new) if identity != new and self._backend.dim is not None else 0

    def delete(self, ids: Sequence[str]) -> int:
        """Delete items with their pictures and verdicts; return how many there were.

        Copies stay in the database's log and, of vectors and labels, in the search index's files until the gallery is
        closed: call `compact` to have them gone now, and to know that they are.
        """
        return self._backend.delete(checked_ids(ids))

    def search(
        self,
        queries: ArrayLike,
        k: int = 10,
        *,
        where: Where = EVERYTHING,
        by: By = "picture",
        exact: bool = False,
        rerank: AnswerReranking | None = None,
        depth: int = 100,
    ) -> list[list[Match]]:
        """Find the items most alike to each query.

        Args:
            queries: (Q, D).
            k: How many answers are wanted.
            where: Which items are looked at.
            by: ``"identity"`` or ``"track"`` answers with the best picture of each; an item without one stands alone.
            exact: Look at every item even where the gallery is large enough for an approximate search.
            rerank: Orders the best ``depth`` pictures anew by its own similarities.
            depth: How many those are.

        Returns:
            For each query at most k matches, best first.

        Raises:
            ValueError: The queries are not (Q, D) of the gallery's D, or k is not positive.
        """
        vectors = as_vectors(queries)
        for name, number in (("k", k), ("depth", depth)):
            if number < 1:
                raise ValueError(f"expected {name} of at least 1, got {number}")
        if by not in ("picture", "identity", "track"):
            raise ValueError(f"expected by picture, identity or track, got {by!r}")
        if self._backend.dim is None or not len(vectors):
            return [[] for _ in vectors]
        self._check_fit(vectors)
        return answers(
            self._backend, normalized(vectors), k, where=where, by=by, exact=exact, rerank=rerank, depth=depth
        )

    def identify(
        self, queries: ArrayLike, *, false_alarms: float = 0.01, where: Where = EVERYTHING
    ) -> list[Match | None]:
        """Name each query (Q, D), or say None: none of these.

        Args:
            queries: (Q, D).
            false_alarms: The wanted share of strangers who are given a name; one that `calibrate` was asked for.
            where: Which items are looked at.

        Raises:
            GalleryError: The gallery is not calibrated for open-set identification at this rate.
        """
        calibration = self.calibration()
        if calibration is None:
            raise GalleryError("expected a calibrated gallery, found no calibration; run `reseen calibrate` on it")
        threshold = calibration.open_set_threshold(false_alarms).threshold
        best = self.search(queries, 1, where=replace(where, named=True))
        return [m[0] if m and m[0].similarity >= threshold else None for m in best]

    def items(self, ids: Sequence[str]) -> list[Item | None]:
        """Return items in the order asked for; None for one that is not held."""
        return self._backend.items(checked_ids(ids))

    def vectors(self, ids: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (N, D) of items as they were added.

        Raises:
            KeyError: One is not held.
        """
        return self._backend.vectors(checked_ids(ids))

    def require_known(self, where: Where) -> None:
        """Make sure that there are items of each camera and of each identity asked for.

        Raises:
            GalleryError: There are none; the known ones are named.
        """
        cameras = [x for x in where.cameras or () if x is not None and not self.count(Where(cameras=[x]))]
        identities = [x for x in where.identities or () if x is not None and not self.count(Where(identities=[x]))]
        for name, unknown, known in (("cameras", cameras, self.cameras), ("identities", identities, self.identities)):
            if unknown:
                raise GalleryError(f"expected {name} among {listed(known())} in {self.location}, got {listed(unknown)}")

    def times(self) -> tuple[float, float] | None:
        """Return the first and the last time there is; on Milvus, deleted items may have a part in it."""
        return self._backend.times()

    def pictured(self, ids: Sequence[str]) -> set[str]:
        """Return those of the items that a picture is kept for."""
        return self._backend.pictured(checked_ids(ids))

    def picture(self, item: str) -> bytes | None:
        """Return the small JPEG file kept for an item, if any."""
        return self._backend.picture(checked_ids([item])[0])

    def select(self, where: Where = EVERYTHING, limit: int = 1_000_000) -> list[str]:
        """Return the ids of at most ``limit`` items asked for, always in the same order."""
        return self._backend.select(where, limit)

    def count(self, where: Where = EVERYTHING) -> int:
        """Return how many items are asked for."""
        return self._backend.count(where)

    def cameras(self) -> list[Label]:
        """Return every camera there is, in order."""
        return self._backend.cameras()

    def identities(self) -> list[Label]:
        """Return every identity there is, in order; Milvus reads every item for it."""
        return self._backend.identities()

    def mark(self, query: str, item: str, *, similarity: float, same: bool) -> None:
        """Keep a user's verdict on a match for the next calibration; a later one on the same match takes its place.

        It goes with its item; one on an item that is not held is not kept.
        """
        self._backend.mark(Mark(query, checked_ids([item])[0], float(similarity), bool(same)))

    def unmark(self, query: str, item: str) -> None:
        """Take back the verdict on a match, if there is one."""
        self._backend.unmark(query, checked_ids([item])[0])

    def marks(self) -> list[Mark]:
        """Return the verdicts."""
        return self._backend.marks()

    def calibration(self) -> Calibration | None:
        """Return what turns similarities into probabilities here, if `put_calibration` has been called."""
        return calibration_of(self._backend)

    def put_calibration(self, calibration: Calibration) -> None:
        """Keep a calibration, in place of an older one."""
        self._backend.put_note(CALIBRATION, calibration.to_json())

    def note(self, name: str) -> str | None:
        """Return the text kept under a name beside the items, if any."""
        return self._backend.note(name)

    def put_note(self, name: str, text: str) -> None:
        """Keep a text under a name, in place of what was there."""
        self._backend.put_note(name, text)

    def compact(self) -> Compaction:
        """Make the search index anew from the items and empty the log: what was deleted is then in no file.

        Another process that reads the gallery keeps the log from being emptied; the result says so, after two seconds.

        Raises:
            GalleryError: The disk is full, or the gallery may only be read.
        """
        return self._backend.compact()

    def copy(self, folder: str | Path) -> None:
        """Copy the gallery as of this moment, whoever writes meanwhile, to a folder that is not there yet.

        Raises:
            GalleryError: It is there, cannot be written, or the gallery is not in a folder of this machine.
        """
        self._backend.copy(Path(folder))

    def close(self) -> None:
        """Let go of the gallery; what has been added is safe without it."""
        if not self._closed:
            self._closed = True
            self._backend.close()

    def _check_model(self) -> None:
        model, held = self._asked_model, self._backend.model
        if self._backend.dim is not None and model is not None and held != model:
            expected, found = model_title(self._asked_name, model), model_title(self._backend.note(MODEL_NAME), held)
            raise GalleryError(
                f"expected a gallery of vectors of {expected}, found {self.location} of {found}; use that model, or "
                "index the pictures anew into another gallery"
            )

    def _check_fit(self, vectors: NDArray[np.float32]) -> None:
        self._check_model()  # Another process may have begun the gallery since it was opened.
        if vectors.shape[1] != self._backend.dim:
            raise ValueError(f"expected vectors (N, {self._backend.dim}) as in {self.location}, got {vectors.shape}")


def model_title(name: str | None, fingerprint: str | None) -> str:
    """Return what to call a model: its name, where it has one, and the beginning of its fingerprint."""
    digest = f"model {fingerprint[:12]}" if fingerprint else "an unnamed model"
    return digest if name is None else f"{visible(name)} ({digest})"
