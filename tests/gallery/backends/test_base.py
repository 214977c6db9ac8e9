"""Which backend a location names, and what it may be asked for."""

from pathlib import Path

import pytest

from reseen.errors import GalleryError
from reseen.gallery import Gallery
from reseen.gallery.backends import base
from reseen.gallery.backends.sqlite_faiss.backend import SqliteFaissBackend


class ElsewhereBackend(SqliteFaissBackend):
    """A backend of one's own: a scheme, a class, and its own options."""

    options = frozenset({"approximate_above"})

    @classmethod
    def from_location(cls, location: str, **given: object) -> "ElsewhereBackend":
        return super().from_location(location.removeprefix("elsewhere://"), **given)  # type: ignore[arg-type, return-value]


def test_a_backend_is_found_by_its_scheme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(base.BACKENDS, "elsewhere", ("gallery", __name__, "ElsewhereBackend"))
    with Gallery(f"elsewhere://{tmp_path}/gallery", approximate_above=5) as gallery:
        assert isinstance(gallery._backend, ElsewhereBackend)
        gallery.add([[1.0, 0.0]])
    with Gallery(tmp_path / "gallery") as gallery:
        assert len(gallery) == 1
    with pytest.raises(GalleryError, match=r"expected options of approximate_above for .*elsewhere://, got recall"):
        Gallery(f"elsewhere://{tmp_path}/gallery", recall=0.9)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(
        GalleryError, match=r"expected a folder or one of milvus://, milvus\+https://, milvus-lite://, got redis://"
    ):
        Gallery("redis://127.0.0.1:1/people")


def test_an_index_is_no_option_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"a gallery at a folder, got index, of which it makes no use; leave it"):
        Gallery(tmp_path / "gallery", index="HNSW")
