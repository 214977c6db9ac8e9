"""``python -m benchmarks [NAME ...]`` runs the benchmarks of these names, or all."""

import importlib
import pkgutil
import sys
from collections.abc import Callable

import benchmarks


def found() -> dict[str, Callable[[], None]]:
    """Return every module beside this one that has a ``main``."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__"]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    return {name: module.main for name, module in modules.items() if hasattr(module, "main")}


if __name__ == "__main__":
    mains = found()
    chosen = sys.argv[1:] or list(mains)
    unknown = set(chosen) - set(mains)
    if unknown:
        sys.exit(f"expected names among {', '.join(mains)}, got {', '.join(unknown)}")
    for name in chosen:
        print(f"== {name}", flush=True)
        mains[name]()
