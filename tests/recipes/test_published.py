"""The rows of the papers' tables, as they stand in published.csv."""

from collections import defaultdict
from itertools import combinations

from reseen.recipes import published


def test_a_row_that_repeats_another_s_figures_says_so() -> None:
    """Two methods with the same mAP and rank 1 on two data sets are a slip of the paper, or of ours."""
    figures: dict[tuple[str, str, str], dict[str, tuple[float | None, float | None, str]]] = defaultdict(dict)
    for row in published():
        if row.mean_ap and row.rank_1:
            figures[row.paper, row.table, row.row][row.data] = (row.mean_ap, row.rank_1, row.note)
    repeated = []
    for first, second in combinations(figures, 2):
        if first[:2] != second[:2]:
            continue
        same = [d for d in figures[first] if d in figures[second] and figures[first][d][:2] == figures[second][d][:2]]
        if len(same) > 1:
            repeated.append((first[2], second[2]))
            assert all(figures[first][d][2] or figures[second][d][2] for d in same), (first, second, same)
    assert ("AOS [28]", "MLFN [11]") in repeated
