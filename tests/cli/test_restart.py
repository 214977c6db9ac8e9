"""A training starts itself anew with what it wants from the beginning, once, and nobody's settings are lost."""

import os
import subprocess
import sys

import pytest

from reseen.cli.restart import FEW_ROUNDS, HUGE_PAGES, ROUNDS, TUNABLES, for_training


@pytest.mark.parametrize("libc", ["glibc 2.35", "glibc 2.41", "glibc 3.0"])
def test_a_new_glibc_has_huge_pages(libc: str) -> None:
    assert for_training({"A": "1"}, libc) == {"A": "1", TUNABLES: HUGE_PAGES, ROUNDS: FEW_ROUNDS}


def test_an_old_one_has_not() -> None:
    assert for_training({}, "glibc 2.34") == {ROUNDS: FEW_ROUNDS}


@pytest.mark.parametrize("libc", ["musl 1.2", "", None])
def test_another_library_is_left_alone(libc: str | None) -> None:
    assert for_training({}, libc) is None


@pytest.mark.parametrize("waiting", [{ROUNDS: "7"}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_settings_of_the_user_stay(waiting: dict[str, str]) -> None:
    memory = {TUNABLES: "glibc.malloc.check=0"}
    assert for_training({**memory, **waiting}, "glibc 2.41") is None
    assert for_training(memory, "glibc 2.41") == {**memory, ROUNDS: FEW_ROUNDS}
    assert for_training(waiting, "glibc 2.41") == {**waiting, TUNABLES: HUGE_PAGES}


@pytest.mark.skipif(not hasattr(os, "confstr"), reason="not a system with glibc")
def test_a_process_begins_again_once_with_the_same_words() -> None:
    code = (
        "import os, sys\n"
        "from reseen.cli.restart import restart_for_training\n"
        "restart_for_training(sys.orig_argv)\n"
        "print(os.environ.get('GLIBC_TUNABLES'), os.environ.get('GOMP_SPINCOUNT'), sys.argv[1:])"
    )
    environment = {name: value for name, value in os.environ.items() if name not in (TUNABLES, ROUNDS)}
    done = subprocess.run(
        [sys.executable, "-c", code, "two words", "-x"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    new = for_training({}, os.confstr("CS_GNU_LIBC_VERSION")) or {}
    assert done.stdout.splitlines() == [f"{new.get(TUNABLES)} {new.get(ROUNDS)} ['two words', '-x']"]
