"""``python -m benchmarks [NAME ...]`` runs the benchmarks of these names, or all; of one, ``NAME --flag ...``."""

import importlib
import os
import pkgutil
import platform
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import benchmarks


def found() -> dict[str, Callable[..., None]]:
    """Return every module beside this one that has a ``main``."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__"]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    return {name: module.main for name, module in modules.items() if hasattr(module, "main")}


def processor() -> str:
    """Return the name of this machine's processor and how many cores there are."""
    import torch  # Not before what torch reads from the environment is set.

    path = Path("/proc/cpuinfo")
    described = path.read_text().splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in described if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()} kernels"


def parsed(words: Sequence[str], known: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the names of a command line (all if it has none) and the flags behind a single one."""
    num_names = next((number for number, word in enumerate(words) if word.startswith("--")), len(words))
    names, flags = list(words[:num_names]) or list(known), list(words[num_names:])
    if unknown := set(names) - set(known):
        sys.exit(f"expected names among {', '.join(known)}, got {', '.join(unknown)}")
    if flags and len(names) != 1:
        sys.exit(f"expected one name before {flags[0]}, got {len(names)}")
    return names, flags


if __name__ == "__main__":
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # Torch's profiler prints nothing of its own.
    mains = found()
    names, flags = parsed(sys.argv[1:], mains)
    print(processor())
    for name in names:
        print(f"== {name}", flush=True)
        mains[name](*([flags] if flags else []))
