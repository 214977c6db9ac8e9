"""A training starts itself anew with huge pages where glibc has them, once, and nobody's settings are lost."""

import os
import subprocess
import sys

import pytest

from reseen.cli.huge_pages import SETTING, TUNABLES, with_huge_pages


@pytest.mark.parametrize("libc", ["glibc 2.35", "glibc 2.41", "glibc 3.0"])
def test_a_new_glibc_has_them(libc: str) -> None:
    assert with_huge_pages({"A": "1"}, libc) == {"A": "1", TUNABLES: SETTING}


@pytest.mark.parametrize("libc", ["glibc 2.34", "musl 1.2", "", None])
def test_another_library_has_not(libc: str | None) -> None:
    assert with_huge_pages({}, libc) is None


def test_settings_of_the_user_stay() -> None:
    assert with_huge_pages({TUNABLES: "glibc.malloc.check=0"}, "glibc 2.41") is None


@pytest.mark.skipif(not hasattr(os, "confstr"), reason="not a system with glibc")
def test_a_process_begins_again_once_with_the_same_words() -> None:
    code = (
        "import os, sys\n"
        "from reseen.cli.huge_pages import take_huge_pages\n"
        "take_huge_pages(sys.orig_argv)\n"
        "print(os.environ.get('GLIBC_TUNABLES'), sys.argv[1:])"
    )
    environment = {name: value for name, value in os.environ.items() if name != TUNABLES}
    done = subprocess.run(
        [sys.executable, "-c", code, "two words", "-x"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    new = with_huge_pages({}, os.confstr("CS_GNU_LIBC_VERSION")) is not None
    assert done.stdout.splitlines() == [f"{SETTING if new else None} ['two words', '-x']"]
