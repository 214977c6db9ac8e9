"""Restart of a training on a CPU with what has to be settled before a process begins: huge pages and waiting threads.

Without huge pages a step takes up to 1.7 times as long. Threads of GNU OpenMP, which torch uses, spin for a few hundred
thousand rounds while they wait for one another. Where one of them has to share its core, the others hold a core that
somebody needs, and the whole training falls far behind. With a few thousand rounds it is as fast as before where
nothing else runs, and falls less far where much does (``python -m benchmarks waiting``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

TUNABLES, HUGE_PAGES, FIRST_GLIBC = "GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", (2, 35)
ROUNDS, FEW_ROUNDS, POLICY = "GOMP_SPINCOUNT", "3000", "OMP_WAIT_POLICY"


def for_training(environment: Mapping[str, str], libc: str | None) -> dict[str, str] | None:
    """Return the environment to start again with; None where nothing is to be gained.

    Args:
        environment: Of this process. Whoever has set one of these variables keeps it.
        libc: Name and version of the C library, such as ``glibc 2.36``.
    """
    name, _, version = (libc or "").partition(" ")
    if name != "glibc":
        return None
    wanted = {}
    if TUNABLES not in environment and tuple(int(n) for n in version.split(".") if n.isdigit()) >= FIRST_GLIBC:
        wanted[TUNABLES] = HUGE_PAGES
    if ROUNDS not in environment and POLICY not in environment:
        wanted[ROUNDS] = FEW_ROUNDS
    return {**environment, **wanted} if wanted else None


def restart_for_training(command: Sequence[str]) -> None:
    """Start this program anew, in the same process, unless it has begun with all that a training wants.

    Args:
        command: The interpreter and its arguments, as ``sys.orig_argv``.
    """
    libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}) else None
    environment = for_training(os.environ, libc)
    if environment is not None and sys.executable:
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *command[1:]], environment)
