"""A full and a read-only disk, for every verb: a line or the right result, and what was there is intact.

The disk is a small tmpfs in a mount namespace of a forked process, which needs no rights where the kernel gives
namespaces to users; elsewhere the tests are skipped.
"""

import ctypes
import os
import pickle
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from reseen.cli import COMMANDS
from tests.faults.corpus import good
from tests.faults.house import House
from tests.faults.test_bit_flips import studying
from tests.faults.test_corpus import quick
from tests.faults.test_kills import contents, rows
from tests.faults.verbs import LIMIT_SECONDS, Outcome, do, ended, forked

Count = Callable[[str, str], None]
NEWNS, NEWUSER = 0x00020000, 0x10000000
RDONLY, REMOUNT, REC, PRIVATE = 1, 32, 16384, 1 << 18
ROOM = 96 * 2**20

ADAPTING = ["--rounds", "1", "--batches.identities", "2", "--batches.images", "2", "--schedule.epochs", "1"]
Make = Callable[[House, Path], list[object]]
ON_DISK: dict[str, Make] = {
    "demo": lambda h, d: ["--out", d / "demo"],
    "check-data": lambda h, d: ["--data", "Table", "--data.path", h.table, "--out", d / "counts.png"],
    "train": lambda h, d: [*h.training, "--out", d / "new"],
    "evaluate": lambda h, d: [d / "run"],
    "embed": lambda h, d: [h.onnx, "--pictures", h.pictures, "--out", d / "new"],
    "report": lambda h, d: [d / "run"],
    "recipes": lambda h, d: [],
    "models": lambda h, d: [],
    "adapt": lambda h, d: ["--model", h.run, "--pictures", h.pictures, "--out", d / "new", *ADAPTING],
    "discover": lambda h, d: ["--gallery", d / "gallery", "--out", d / "new"],
    "export": lambda h, d: [d / "run", d / "new.onnx"],
    "index": lambda h, d: [d / "new", "--model", h.onnx, "--table", h.table],
    "label": lambda h, d: [d / "gallery", "--identity", "person 1", "--to", "x", "--out", d / "new.csv"],
    "delete": lambda h, d: [d / "gallery", "--identity", "person 1"],
    "forget": lambda h, d: [d / "gallery", "--before", "2"],
    "compact": lambda h, d: [d / "gallery"],
    "copy": lambda h, d: [d / "gallery", d / "new"],
    "search": lambda h, d: [d / "gallery", good(h), "--model", h.onnx, "--out", d / "new.html"],
    "compare": lambda h, d: [good(h), good(h), "--model", h.onnx, "--gallery", d / "gallery", "--out", d / "new.html"],
    "calibrate": lambda h, d: [d / "gallery", "--out", d / "new.html"],
    "serve": lambda h, d: [d / "gallery", "--model", h.onnx, "--port", "0"],
    "study": lambda h, d: studying(d / "new")[1:],
}
"""Words of each verb that let it write on the disk, and find what it reads there."""
READING = {"recipes", "models", "serve"}
"""Verbs that need to write nothing."""
LONG = {"demo", "adapt"}
"""Verbs whose work takes long: they are not done to the end."""
SECONDS = {"study": 300.0, "demo": 60.0, "adapt": 60.0}
"""How long verbs may take that start trainings."""


def test_every_verb_is_tried() -> None:
    assert set(ON_DISK) == set(COMMANDS)


def on_a_disk(folder: Path, work: Callable[[Path], Any]) -> Any:
    """Do something in a forked process that sees a small disk in a folder; return what it gave, or skip the test."""

    def within() -> None:
        if not mounted(folder):
            return
        found = work(folder)
        (folder.parent / "result").write_bytes(pickle.dumps(found))

    with tempfile.TemporaryDirectory() as said:
        status, _ = ended(forked(within, Path(said)), 600)
        assert status == 0, (Path(said) / "errors").read_text()
    if not (folder.parent / "result").exists():
        pytest.skip("no disk can be mounted here")
    return pickle.loads((folder.parent / "result").read_bytes())


def mounted(folder: Path) -> bool:
    """Mount a small disk that only this process and its children see; return whether that is possible."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEWNS if user == 0 else NEWNS | NEWUSER):
        return False
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    return not (
        libc.mount(None, b"/", None, REC | PRIVATE, None)
        or libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, f"size={ROOM}".encode())
    )


def read_only(folder: Path) -> None:
    assert ctypes.CDLL(None).mount(b"tmpfs", str(folder).encode(), b"tmpfs", REMOUNT | RDONLY, None) == 0


def fill(folder: Path, left: int) -> None:
    """Leave so many bytes of the disk, in whole pages."""
    with (folder / "ballast").open("ab", buffering=0) as file:
        try:
            while True:
                file.write(bytes(2**20))
        except OSError:
            pass
        file.truncate(max(0, file.tell() // 4096 * 4096 - left))


def furnish(house: House, disk: Path) -> dict[str, bytes]:
    """Put a run and a gallery on the disk; return what they are."""
    for name in ("run", "gallery"):
        house.copy(name, disk / name)
    return held(disk)


def held(disk: Path) -> dict[str, Any]:
    """Return what must not be lost: the run's files, and what the gallery holds."""
    run = {name: content for name, content in contents(disk / "run").items() if "lock" not in name}
    return {**run, "gallery": rows(disk / "gallery")}


def words_of(verb: str, house: House, disk: Path) -> list[object]:
    return [verb, *ON_DISK[verb](house, disk)]


def tried(verb: str, house: House, disk: Path, *more: object) -> Outcome:
    """Run a verb."""
    words, before = [*words_of(verb, house, disk), *more], quick if verb == "serve" else lambda: None
    return do(words, before=before, seconds=SECONDS.get(verb, LIMIT_SECONDS))


def again(verb: str, house: House, disk: Path) -> Outcome:
    """Run a verb that could not write before, as its line says."""
    outcome = tried(verb, house, disk)
    if verb == "train" and outcome.status and "resume it" in outcome.errors:
        outcome = tried(verb, house, disk, "--resume", "true")
    return outcome


LEFT = (0, 4096, 16_384, 65_536, 262_144)
"""Bytes: no room at all, a page, and more and more."""


@pytest.mark.parametrize(
    ("verb", "lefts"),
    [*(("label", LEFT[:1]), ("index", LEFT[2:3])), *(pytest.param(v, LEFT, marks=pytest.mark.slow) for v in ON_DISK)],
    ids=str,
)
def test_full(verb: str, lefts: Sequence[int], house: House, tmp_path: Path, count: Count) -> None:
    (disk := tmp_path / "disk").mkdir()

    def work(disk: Path) -> list[tuple[int, str | None, str]]:
        endings = []
        before = furnish(house, disk)
        for left in lefts:
            fill(disk, left)
            outcome = tried(verb, house, disk)
            fault = outcome.fault(refused=left == 0 and verb not in READING, limit=SECONDS.get(verb, LIMIT_SECONDS))
            (disk / "ballast").unlink()
            if outcome.status and not fault and (after := held(disk)) != before:
                fault = f"lost: {[name for name in before if after.get(name) != before[name]]}"
            if verb in LONG:
                endings.append((outcome.status, fault, outcome.errors))
                continue
            if outcome.status and not fault and (more := again(verb, house, disk)).status:
                fault = f"cannot go on with room: {more.errors[-300:]}"
            endings.append((outcome.status, fault, outcome.errors))
            for name in os.listdir(disk):
                os.system(f"rm -rf {disk / name}")
            before = furnish(house, disk)
        return endings

    _noted(on_a_disk(disk, work), f"full disk: {verb}", count)


@pytest.mark.parametrize("verb", ["embed", *(pytest.param(v, marks=pytest.mark.slow) for v in ON_DISK if v != "embed")])
def test_read_only(verb: str, house: House, tmp_path: Path, count: Count) -> None:
    (disk := tmp_path / "disk").mkdir()

    def work(disk: Path) -> list[tuple[int, str | None, str]]:
        before = furnish(house, disk)
        read_only(disk)
        outcome = tried(verb, house, disk)
        fault = outcome.fault(refused=verb not in READING, limit=SECONDS.get(verb, LIMIT_SECONDS))
        if not fault and held(disk) != before:
            fault = "lost"
        return [(outcome.status, fault, outcome.errors)]

    _noted(on_a_disk(disk, work), f"read-only disk: {verb}", count)


def _noted(endings: list[tuple[int, str | None, str]], kind: str, count: Count) -> None:
    for status, fault, _ in endings:
        count(kind, "lost" if fault else "refused" if status else "right")
    assert not [fault for _, fault, _ in endings if fault]
