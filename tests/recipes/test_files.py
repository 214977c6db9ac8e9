"""What stands in a recipe's file."""

import pytest
import yaml

from reseen.errors import RunError
from reseen.recipes import about, names, path_of, published, settings_of


@pytest.mark.parametrize("name", names())
def test_any_reader_of_yaml_takes_a_recipe_for_what_it_is(name: str) -> None:
    """No word of a recipe is a truth value to YAML 1.1 and a word to YAML 1.2, as `on` and `no` are."""
    text = path_of(name).read_text()
    assert yaml.safe_load(text) == settings_of(name)
    words = {token.value for token in yaml.scan(text) if isinstance(token, yaml.ScalarToken) and token.plain}
    assert not {word.lower() for word in words} & {"on", "off", "yes", "no", "y", "n"}


def test_a_recipe_is_its_comment_and_its_settings() -> None:
    first, *more = about("market1501/baseline2_fidi").split("\n")
    assert first.startswith("Baseline2")
    assert first.endswith("mAP 86.8, rank 1 94.5.")
    assert [line.partition(":")[0] for line in more] == ["Settings", "Assumed"]
    assert settings_of("market1501/baseline2_fidi")["batches"] == {"identities": 8, "images": 16}
    assert [term["output"] for term in settings_of("market1501/adasp_mgn")["terms"]][:2] == [
        "branch.*",
        "branch.global*",
    ]


def test_a_name_that_is_nearly_right_is_told() -> None:
    with pytest.raises(RunError, match="did you mean market1501/bot"):
        path_of("market1501/bots")


def test_every_recipe_can_be_found_by_a_published_row_and_back() -> None:
    found = {row.recipe for row in published() if row.recipe}
    assert len(found) > 120
    assert found <= set(names())
