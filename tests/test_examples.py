"""Every file in examples/ runs as a user runs it."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(example)], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout, "an example should show something"


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES[0].parent / "first_hour.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), (
        "the repository has no results and no pictures in it"
    )
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    kinds = [set(output.get("data", {})) for output in shown]
    assert sum("text/html" in kind for kind in kinds) == 4  # the data, the model, the scores, the report
    assert sum("image/png" in kind for kind in kinds) == 2  # the people, the matches
    told = "".join(output.get("text", "") for output in shown)
    assert "epoch 0: mAP" in told
    assert "epoch 6: mAP" in told
    assert told.count("similarity") == 7


def test_losses_work_in_a_loop_that_knows_nothing_of_reseen() -> None:
    namespace: dict[str, object] = {"__name__": "example"}
    exec((EXAMPLES[0].parent / "plain_pytorch_loop.py").read_text(), namespace)
    found = namespace["main"]()  # type: ignore[operator]
    assert set(found) == {"FIDILoss", "AdaSPLoss"}
    assert min(found.values()) > 0.9
