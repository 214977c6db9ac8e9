"""A grid of figures: each cell in its place, the deeper the higher."""

import re

import numpy as np

from reseen.reporting import Axis, heat_map

VALUES = np.array([[0.1, 0.5, np.nan], [0.3, 0.9, 0.2]])


def drawn(values=VALUES):
    names = [f"{n}" for n in range(values.shape[0])], [f"c{n}" for n in range(values.shape[1])]
    return heat_map("Map", *names, values, down="rows", across="<columns>", axis=Axis("mAP, %", percent=True))


def test_every_known_value_has_a_cell_whose_depth_is_its_height():
    depths = {
        text: float(depth)
        for depth, text in re.findall(r'opacity:([\d.]+)".*?<text class="name"[^>]*>([\d.]+)<', str(drawn()))
    }
    assert sorted(depths, key=depths.__getitem__) == ["10.0", "20.0", "30.0", "50.0", "90.0"]


def test_cells_lie_in_rows_and_columns():
    places = re.findall(r'x="([\d.]+)" y="(\d+)" width', str(drawn()))
    assert len({x for x, _ in places}) == 3
    assert len({y for _, y in places}) == 2
    assert len(set(places)) == 5


def test_the_highest_is_bold_and_names_are_escaped():
    assert re.findall(r'font-weight="700"[^>]*>([\d.]+)<', str(drawn())) == ["90.0"]
    assert "&lt;columns&gt;" in drawn()
    assert "from 10 % to 90 %" in drawn()


def test_one_value_is_drawn_too():
    assert "50.0" in drawn(np.array([[0.5]]))
