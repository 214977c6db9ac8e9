"""The first step of five recipes gives the numbers that it gave before: a move of the code changes no result.

After a change that is meant to alter them: ``python -m tests.recipes.test_first_steps`` writes them anew.
"""

import json
import platform
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.recipes.stepping import first_step

STORED = Path(__file__).parent / "data" / "first_steps.json"
NAMES = (
    "market1501/adasp_mgn",
    "market1501/strong_baseline_center",
    "market1501/vit_cameras",
    "sysu_mm01/agw",
    "veri776/moreid_he",
)
TOLERANCE = 1e-3  # between processors and versions of torch, whose sums round otherwise


def processor() -> str:
    """Return what the last bits depend on: the processor's model and its vector instructions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    facts = dict(reversed([[part.strip() for part in line.partition(":")[::2]] for line in lines if ":" in line]))
    model = " ".join(facts.get(fact, "") for fact in ("model name", "cpu family", "model", "cache size")).strip()
    return f"{model or platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_step_is_what_it_was(name: str) -> None:
    stored = json.loads(STORED.read_text())
    same = (stored["torch"], stored["processor"]) == (torch.__version__, processor())
    expected = stored["steps"][name]
    assert first_step(name) == (expected if same else pytest.approx(expected, rel=TOLERANCE))


def store() -> None:
    torch.set_num_threads(1)
    steps = {name: first_step(name) for name in NAMES}
    kept = {"torch": torch.__version__, "processor": processor(), "steps": steps}
    STORED.write_text(json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    store()
