"""A Ray cluster that is not there is one line, soon; what Ray itself says of it takes minutes."""

import time
from pathlib import Path

import pytest

from reseen.embedding.making import PartOptions
from reseen.errors import RunError
from reseen.storage import StorageFolder

pytest.importorskip("ray")

from reseen.embedding.on_ray import make_parts_on_ray


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "ray://127.0.0.1:1", "auto", "[::1]:1", "no-such-host.invalid:6379"]
)
def test_an_address_where_nothing_listens(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    began = time.monotonic()
    folder = StorageFolder(str(tmp_path))
    with pytest.raises(RunError, match=r"expected a Ray cluster at .*, got: .*; start it, or mend it") as error:
        make_parts_on_ray(folder, "manifest.parquet", "model.onnx", PartOptions(), address=address)
    assert time.monotonic() - began < 15
    assert "\n" not in str(error.value)
