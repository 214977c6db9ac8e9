"""Every file in examples/ runs as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout, "an example should show something"


def test_losses_work_in_a_loop_that_knows_nothing_of_reseen() -> None:
    namespace: dict[str, object] = {"__name__": "example"}
    exec((EXAMPLES[0].parent / "plain_pytorch_loop.py").read_text(), namespace)
    found = namespace["main"]()  # type: ignore[operator]
    assert set(found) == {"FIDILoss", "AdaSPLoss"}
    assert min(found.values()) > 0.9
