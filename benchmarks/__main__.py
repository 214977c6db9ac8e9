"""``python -m benchmarks [NAME ...]`` runs the benchmarks of these names, or all."""

import importlib
import os
import pkgutil
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import benchmarks


def found() -> dict[str, Callable[[], None]]:
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


if __name__ == "__main__":
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # Torch's profiler prints nothing of its own.
    mains = found()
    chosen = sys.argv[1:] or list(mains)
    unknown = set(chosen) - set(mains)
    if unknown:
        sys.exit(f"expected names among {', '.join(mains)}, got {', '.join(unknown)}")
    print(processor())
    for name in chosen:
        print(f"== {name}", flush=True)
        mains[name]()
