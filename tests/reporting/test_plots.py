import re

import numpy as np
import pytest

from reseen.reporting import Axis, Series, bar_chart, histogram, line_chart
from reseen.reporting.plots import HEIGHT, WIDTH


def paths(drawn: str, kind: str) -> list[list[tuple[float, float]]]:
    """Return the points of every path of a kind, those of the legend left out."""
    body = drawn.split("</figcaption>")[1]
    found = re.findall(rf'class="{kind} s\d"[^>]* d="M([^"]*?)Z?"', body)
    return [[tuple(map(float, p.split())) for p in d.split("L")] for d in found]  # type: ignore[misc]


def test_lines_rise_where_values_rise_and_stay_inside() -> None:
    values = [0.1, 0.5, 0.4, 0.9]
    (line,) = paths(line_chart("t", [Series("a", [1, 2, 3, 4], values)], x=Axis("x"), y=Axis("y")), "line")
    assert len(line) == 4
    x, y = np.array(line).T
    np.testing.assert_allclose(np.diff(x), np.diff(x)[0], atol=0.11)
    # The vertical axis points down: heights follow the values by one factor.
    np.testing.assert_allclose((y - y[0]) / (y[-1] - y[0]), (np.array(values) - 0.1) / 0.8, atol=0.01)
    assert ((x >= 0) & (x <= WIDTH) & (y >= 0) & (y <= HEIGHT)).all()


def test_what_is_not_finite_is_left_out() -> None:
    series = Series("a", [1, 2, 3, 4], [1.0, np.nan, np.inf, 2.0])
    drawn = line_chart("t", [series], x=Axis("x"), y=Axis("y"))
    assert len(paths(drawn, "line")[0]) == 2
    assert "nan" not in drawn
    assert "inf" not in drawn


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [2.0, 2.0]])
def test_little_data_is_no_error(values: list[float]) -> None:
    drawn = line_chart("t", [Series("a", range(len(values)), values)], x=Axis("x"), y=Axis("y"))
    assert "nan" not in drawn.replace("nan;", "")


def test_many_points_are_thinned_to_their_means() -> None:
    values = np.linspace(0, 1, 10_000)
    (line,) = paths(line_chart("t", [Series("a", values, values)], x=Axis("x"), y=Axis("y")), "line")
    assert len(line) < 300
    x, y = np.array(line).T
    np.testing.assert_allclose(np.polyval(np.polyfit(x, y, 1), x), y, atol=0.2)


def test_a_logarithmic_axis_gives_equal_factors_equal_steps() -> None:
    series = Series("a", [0.001, 0.01, 0.1, 1], [0, 1, 2, 3])
    (line,) = paths(line_chart("t", [series], x=Axis("x", log=True), y=Axis("y")), "line")
    x = np.array(line)[:, 0]
    np.testing.assert_allclose(np.diff(x), np.diff(x)[0], atol=0.11)


def test_a_band_lies_evenly_around_its_line() -> None:
    drawn = line_chart("t", [Series("a", [0, 1], [1.0, 2.0], [0.5, 0.25])], x=Axis("x"), y=Axis("y"))
    ((upper_0, upper_1, lower_1, lower_0),) = paths(drawn, "band")
    (line,) = paths(drawn, "line")
    assert (upper_0[1] + lower_0[1]) / 2 == pytest.approx(line[0][1], abs=0.1)
    assert (upper_1[1] + lower_1[1]) / 2 == pytest.approx(line[1][1], abs=0.1)
    assert lower_0[1] - upper_0[1] == pytest.approx(2 * (lower_1[1] - upper_1[1]), abs=0.2)


def test_every_area_of_a_histogram_has_the_same_total() -> None:
    counts = {"few": [1, 3, 0], "many": [500, 0, 1500]}
    drawn = histogram("t", [0, 1, 2, 3], counts, x=Axis("x"), share_of="all")
    few, many = (np.array(p) for p in paths(drawn, "line"))
    bottom = few[0, 1]
    heights = [(bottom - area[1:-1:2, 1]) for area in (few, many)]
    np.testing.assert_allclose(heights[0] / heights[0].sum(), [0.25, 0.75, 0], atol=0.01)
    np.testing.assert_allclose(heights[0].sum(), heights[1].sum(), atol=0.3)
    assert "4 in all" in drawn
    assert "2,000 in all" in drawn


def test_bars_are_as_long_as_their_values() -> None:
    drawn = bar_chart("t", {"a": 0.2, "b": 0.8}, axis=Axis("mAP", percent=True), spread={"b": 0.05})
    widths = [float(w) for w in re.findall(r'class="bar"[^>]* width="([\d.]+)"', drawn)]
    assert widths[1] / widths[0] == pytest.approx(4, abs=0.02)
    assert "80 % ± 5" in drawn
    assert drawn.count("whisker") == 1


def test_names_are_escaped() -> None:
    evil = "<script>alert(1)</script>"
    axis = Axis(evil)
    for drawn in (
        line_chart(evil, [Series(evil, [0, 1], [0, 1]), Series("b", [0], [0])], x=axis, y=axis, note=evil),
        histogram(evil, [0, 1], {evil: [1], "b": [2]}, x=axis, share_of=evil),
        bar_chart(evil, {evil: 1.0}, axis=axis),
    ):
        assert "<script" not in drawn
        assert "&lt;script&gt;" in drawn


@pytest.mark.parametrize(
    ("value", "written"), [(0.0, "0"), (1.5e-4, "1.5e-4"), (3e-4, "3e-4"), (0.25, "0.25"), (20.0, "20"), (2e6, "2e6")]
)
def test_ticks_say_their_value(value: float, written: str) -> None:
    assert Axis("a").write(value) == written
    assert Axis("a", percent=True).write(0.035) == "3.5 %"


def test_bars_below_zero_are_as_long_as_their_values():
    drawn = str(bar_chart("Lost", {"a": -0.01, "b": -0.04}, axis=Axis("gain", percent=True)))
    widths = [float(width) for width in re.findall(r'class="bar" .*? width="([\d.]+)"', drawn)]
    assert widths[1] == pytest.approx(4 * widths[0], rel=0.01)
    assert widths[1] > 200
