import json
from pathlib import Path

import pytest

from reseen.reporting.curves import learning_curves
from reseen.sealed import seal


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def test_each_kind_of_value_has_its_chart(tmp_path: Path) -> None:
    path = written(
        tmp_path / "metrics.jsonl",
        {"step": 0, "epoch": 0.0, "mean_ap": 0.1, "mean_inp": 0.05, "rank_1": 0.2},
        {
            "step": 5,
            "epoch": 0.5,
            "loss": 4.0,
            "terms": {"AdaSPLoss": 1.5},
            "learning_rate": 1e-4,
            "images_per_second": 90,
        },
        {"step": 10, "epoch": 1.0, "loss": 2.0, "terms": {"AdaSPLoss": 0.5}, "learning_rate": 2e-4},
        {"step": 10, "epoch": 1.0, "mean_ap": 0.6, "mean_inp": 0.3, "rank_1": 0.8},
    )
    losses, scores, rate = learning_curves(path)
    assert "weighted sum, loss by epoch: from 4 at 0.5 to 2 at 1" in losses
    assert "AdaSPLoss, loss by epoch: from 1.5 at 0.5 to 0.5 at 1" in losses
    assert "mAP, score by epoch: from 10 % at 0 to 60 % at 1" in scores
    assert "rank 1, score by epoch: from 20 % at 0 to 80 % at 1" in scores
    assert "1e-4" in rate
    assert "90" not in losses + scores + rate.replace("190", "")


def test_what_a_scheme_says_of_itself_has_a_chart_each(tmp_path: Path) -> None:
    said = ({"age": 0.5, "hard on feature": 0.2}, {"age": 0.9, "hard on feature": 0.7, "hard on branch.a": 0.1})
    path = written(tmp_path / "m.jsonl", *({"step": n, "epoch": n, "candidates": s} for n, s in enumerate(said)))
    age, hard = learning_curves(path)
    assert "Age" in age
    assert "age by epoch: from 0.5 at 0 to 0.9 at 1" in age
    assert "feature, hard by epoch: from 0.2 at 0 to 0.7 at 1" in hard
    assert "branch.a, hard by epoch: from 0.1 at 1" in hard


@pytest.mark.parametrize("text", ["", "\n\n", "[1, 2]\n", '{"step": 3, "epoch": 1}\n', '{"step": 3, "epo'])
def test_nothing_to_draw_is_no_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    assert learning_curves(tmp_path / "metrics.jsonl") == []
    assert learning_curves(tmp_path / "none.jsonl") == []


def test_not_a_number_is_a_gap(tmp_path: Path) -> None:
    path = written(
        tmp_path / "m.jsonl", *({"step": n, "epoch": n, "loss": v} for n, v in enumerate([1.0, float("nan"), 3.0]))
    )
    (losses,) = learning_curves(path)
    assert "from 1 at 0 to 3 at 2" in losses


def test_a_damaged_line_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [seal({"step": n, "epoch": n, "loss": loss}) for n, loss in enumerate((4.0, 2.0, 1.0))]
    (tmp_path / "m.jsonl").write_text("\n".join([lines[0], lines[1].replace("2.0", "9.0"), lines[2], ""]))
    (chart,) = learning_curves(tmp_path / "m.jsonl")
    assert "from 4 at 0 to 1 at 2" in chart
    assert "9" not in chart.partition("weighted sum, loss by epoch")[2][:40]
    assert "m.jsonl: 1 damaged lines are left out" in caplog.text
