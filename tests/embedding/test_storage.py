"""Manifest, pictures and parts in an object store: a server of S3 on this machine."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("moto")
pytest.importorskip("flask_cors")

from tests.embedding.drawn import draw
from tests.embedding.test_making import make
from tests.s3 import s3_server

from reseen.embedding import open_embeddings
from reseen.embedding.parts import Work
from reseen.errors import DataError, RunError
from reseen.gallery import Gallery
from reseen.gallery.ingest import add_parts
from reseen.storage import StorageFolder, fetch_picture, open_location

pytestmark = pytest.mark.filterwarnings("ignore")  # moto's


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """What the bucket's URL ends with."""
    with s3_server() as (_, query):
        yield query


def test_all_of_it_in_a_bucket(s3: str, tmp_path: Path) -> None:
    manifest = draw(tmp_path / "pictures", 25)
    (tmp_path / "pictures" / "3.png").unlink()
    make(manifest, tmp_path / "out")
    for path in (tmp_path / "pictures").iterdir():
        StorageFolder(f"s3://bucket/pictures{s3}").write(path.name, path.read_bytes())
    remote, out = f"s3://bucket/pictures/manifest.parquet{s3}", f"s3://bucket/out/a{s3}"
    assert make(remote, out).batches != []
    assert make(remote, out).batches == []
    own, theirs = open_embeddings(tmp_path / "out"), open_embeddings(out)
    np.testing.assert_array_equal(theirs.vectors, own.vectors)
    assert theirs.identities.tolist() == own.identities.tolist()
    assert StorageFolder(out).names("quarantine") == {"00000000.parquet"}
    StorageFolder(out).write("parts/00000001.parquet", b"junk")
    with pytest.raises(RunError, match="embed again"):
        open_embeddings(out)
    assert [len(batch) for batch in make(remote, out).batches] == [4, 4, 2]
    with Gallery(tmp_path / "gallery", fingerprint_in(out)) as gallery:
        assert sum(new for _, new in add_parts(gallery, StorageFolder(out))) == 24


def fingerprint_in(out: str) -> str:
    work = Work.read(StorageFolder(out))
    assert work is not None
    return work.model_sha256


def test_what_is_not_there(s3: str) -> None:
    with pytest.raises(DataError, match=r"expected a picture at s3://bucket/none\.png"):
        fetch_picture(f"s3://bucket/none.png{s3}")
    assert StorageFolder(f"s3://bucket/nothing{s3}").names("parts") == set()
    with pytest.raises(DataError, match="expected a path, or a URL of s3, gs, abfs or hdfs, got ftp"):
        open_location("ftp://somewhere/x")
