"""What stands in a recipe's file, and which words of YAML are not words."""

import pytest
import yaml

from reseen.errors import RunError
from reseen.recipes import about, names, path_of, published, settings_of
from reseen.recipes.words import Loader


def test_of_yaml_only_true_and_false_are_no_words() -> None:
    text = "{on: no, off: y, yes: null, a: true, b: False, c: 1.5, d: 3}"
    read = yaml.load(text, Loader)
    assert read == {"on": "no", "off": "y", "yes": None, "a": True, "b": False, "c": 1.5, "d": 3}
    assert yaml.safe_load("on") is True  # others' YAML is as it was


def test_a_recipe_is_its_comment_and_its_settings() -> None:
    first, *more = about("market1501/baseline2_fidi").split("\n")
    assert first.startswith("Baseline2")
    assert first.endswith("mAP 86.8, rank 1 94.5.")
    assert [line.partition(":")[0] for line in more] == ["Settings", "Assumed"]
    assert settings_of("market1501/baseline2_fidi")["batches"] == {"identities": 8, "images": 16}
    assert [term["on"] for term in settings_of("market1501/adasp_mgn")["terms"]][:2] == ["branch.*", "branch.global*"]


def test_a_name_that_is_nearly_right_is_told() -> None:
    with pytest.raises(RunError, match="did you mean market1501/bot"):
        path_of("market1501/bots")


def test_every_recipe_can_be_found_by_a_published_row_and_back() -> None:
    found = {row.recipe for row in published() if row.recipe}
    assert len(found) > 120
    assert found <= set(names())
