"""Pieces of work on several cores: each once, each alone on its core, and an error stops the rest."""

import threading
import time
from pathlib import Path

import pytest
import torch

from reseen import parallel
from reseen.parallel import idle_cores, keep_threads, parallel_for, take_idle_cores, usable


def test_every_piece_once(several_threads: None) -> None:
    done: list[int] = []
    parallel_for(done.append, range(100))
    assert sorted(done) == [*range(100)]


def test_side_by_side_with_one_core_each_and_without_gradients(several_threads: None) -> None:
    before = torch.get_num_threads()
    together = threading.Barrier(before, timeout=10)
    seen = []

    def work(_: int) -> None:
        together.wait()
        seen.append((torch.get_num_threads(), torch.is_grad_enabled()))

    parallel_for(work, range(before))
    assert seen == [(1, False)] * before
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()


def test_threads_to_come_have_the_number_they_had(several_threads: None) -> None:
    before = torch.get_num_threads()
    parallel_for(lambda _: None, range(9))
    seen = []
    later = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert seen == [before]


def test_an_error_stops_the_rest(several_threads: None) -> None:
    before, begun = torch.get_num_threads(), []

    def work(piece: int) -> None:
        begun.append(piece)
        if piece == 0:
            raise ValueError("the first piece")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="the first piece"):
        parallel_for(work, range(1000))
    assert len(begun) < 100
    assert torch.get_num_threads() == before


def test_no_more_workers_than_cores_and_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1}, raising=False)
    usable.cache_clear()
    with caplog.at_level("WARNING"):
        assert [usable(8), usable(8), usable(2), usable(0)] == [2, 2, 2, 0]
    assert [record.message for record in caplog.records] == [
        "8 workers on 2 cores would wait for one another: taking 2"
    ]
    usable.cache_clear()


def test_idle_cores_are_those_that_others_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statistics = tmp_path / "stat"
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("reseen.parallel.num_cores", lambda: 6)
    for busy, idle, expected in ((0, 800, 6), (400, 400, 4), (800, 0, 1)):  # all idle, but six may be used; half; none
        before, after = (f"cpu  {100 + b} 0 0 {500 + i} 0 0 0 0 0 0\n" for b, i in ((0, 0), (busy, idle)))
        statistics.write_text(before)
        monkeypatch.setattr("time.sleep", lambda _, text=after: statistics.write_text(text))
        assert idle_cores(statistics=statistics) == expected
    assert idle_cores(statistics=tmp_path / "none") == 6  # not Linux


def test_torch_has_the_cores_that_are_idle(
    several_threads: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "idle_cores", lambda: 2)
    monkeypatch.setattr(parallel, "num_cores", lambda: 8)
    take_idle_cores()  # the tests have said how many
    assert torch.get_num_threads() == 4
    monkeypatch.delenv("OMP_NUM_THREADS")
    with caplog.at_level("INFO", "reseen"):
        take_idle_cores()
    assert torch.get_num_threads() == 2
    assert caplog.messages == ["2 of 8 cores are idle, and taken; OMP_NUM_THREADS=8 takes all"]


def test_a_run_goes_on_with_the_threads_that_it_began_with(
    several_threads: None, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_threads(tmp_path / "threads")
    torch.set_num_threads(1)
    keep_threads(tmp_path / "threads")
    assert "begun with 4 threads and going on with 1" in caplog.text
    assert torch.get_num_threads() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    keep_threads(tmp_path / "threads")
    assert torch.get_num_threads() == 4
