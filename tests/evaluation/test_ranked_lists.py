"""Ranked lists against sorting everything."""

import numpy as np
import pytest

from reseen.evaluation import ranked_list
from reseen.evaluation import tiles as tiles_module
from reseen.protocols import any_view, cross_camera
from reseen.types import Embeddings


def tied_set(seed: int, num: int) -> Embeddings:
    generator = np.random.default_rng(seed)
    vectors = generator.choice(np.array([-1, 1], np.float32), size=(num, 64))
    return Embeddings(vectors, generator.integers(0, 6, num), cameras=generator.integers(0, 3, num))


@pytest.mark.parametrize("size", [4096, 16])
def test_first_places(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles_module, "MAX_ROWS", size)
    query, gallery = tied_set(0, 20), tied_set(1, 90)
    found = ranked_list(query, gallery, cross_camera, top=5)
    scores = (query.vectors @ gallery.vectors.T / 64).numpy()
    for q in range(20):
        same = gallery.identities == query.identities[q]
        kept = np.flatnonzero(~(same & (gallery.cameras == query.cameras[q])))  # type: ignore[index]
        assert found.scores[q].tolist() == sorted(scores[q, kept])[::-1][:5]
        assert scores[q, found.rows[q]].tolist() == found.scores[q].tolist()
        assert set(found.rows[q]) <= set(kept)
        assert len(set(found.rows[q])) == 5
        assert found.positive[q].tolist() == same[found.rows[q]].tolist()
        places = list(zip(-found.scores[q], found.positive[q], found.rows[q], strict=True))
        assert places == sorted(places)


def test_a_short_gallery_leaves_places_empty() -> None:
    query, gallery = tied_set(0, 3), tied_set(1, 2)
    found = ranked_list(query, gallery, any_view, top=4)
    assert (found.rows[:, :2] >= 0).all()
    assert (found.rows[:, 2:] == -1).all()
    assert np.isneginf(found.scores[:, 2:]).all()
    assert not found.positive[:, 2:].any()
    assert (ranked_list(query, gallery[slice(0, 0)], any_view).rows == -1).all()
    with pytest.raises(ValueError, match="at least 1"):
        ranked_list(query, gallery, any_view, top=0)
