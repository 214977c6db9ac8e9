"""Files written whole or not at all: by several processes at once, on a full disk, in a place that may only be read."""

import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reseen.errors import WriteError
from reseen.files import make_folder, replacing, write_atomically


def test_what_is_written_is_there_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ".a.partial").write_bytes(b"left by a killed process, and longer than what comes")
    for content in (b"one", b"", b"two" * 1000):
        write_atomically(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert os.listdir(tmp_path) == ["a"]


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"before")

    def stopped(partial: Path) -> None:
        partial.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a") as partial:
        stopped(partial)
    assert (tmp_path / "a").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a"]


def write_often(path: Path, letter: bytes) -> None:
    for length in range(20):
        write_atomically(path, letter * (1000 + length))


def test_writers_of_one_file_at_once_do_not_mix(tmp_path: Path) -> None:
    """Threads here; the lock is of the open file, so it holds between them as between processes."""
    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(write_often, tmp_path / "a", letter) for letter in (b"x", b"y", b"z")]
        while not all(writer.done() for writer in writers):
            if (tmp_path / "a").exists():
                content = (tmp_path / "a").read_bytes()
                assert len(set(content)) == 1
                assert len(content) >= 1000
        assert [writer.result() for writer in writers] == [None] * 3
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_is_told_in_one_line(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(WriteError, match="what was there before is intact"):
            write_atomically(tmp_path / "a", bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "a").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("refused", ["open", "unlink", "replace"])
def test_a_place_that_may_only_be_read_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """Tests may run as root, whom no permission stops: the system's answer is put in its place."""

    def answer(path: Path, *args: object, **kwargs: object) -> None:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, refused, answer)
    if refused == "unlink":  # the clean-up fails as well as the writing
        monkeypatch.setattr(Path, "replace", answer)
    with pytest.raises(WriteError, match=r"permission to write .*a, got: Read-only file system"):
        write_atomically(tmp_path / "a", b"x")


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(WriteError, match="Not a directory"):
        make_folder(tmp_path / "a" / "b")


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("pipe", "link"):
        before = os.lstat(tmp_path / name)
        with pytest.raises(WriteError, match="a pipe or device"):
            write_atomically(tmp_path / name, b"x")
        assert os.path.samestat(os.lstat(tmp_path / name), before)


def test_what_somebody_lays_in_the_drafts_place_is_neither_written_nor_waited_for(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / ".a.partial").symlink_to("precious")
    os.mkfifo(tmp_path / ".b.partial")
    for name in ("a", "b"):
        write_atomically(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
        assert not (tmp_path / name).is_symlink()
    assert (tmp_path / "precious").read_bytes() == b"precious"
