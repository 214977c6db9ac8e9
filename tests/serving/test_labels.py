"""Labels in addresses follow the rule of tables and of the command line."""

import pytest

from reseen.serving.errors import RefusedError
from reseen.serving.validation import as_label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("7", 7),
        ("-3", -3),
        ("0", 0),
        ("007", "007"),
        ("-0", "-0"),
        (" 7", " 7"),
        ('"7"', "7"),
        ("7.0", 7),
        ("7.5", "7.5"),
        ("gate", "gate"),
    ],
)
def test_one_rule(text: str, label: int | str) -> None:
    found = as_label(text, "camera")
    assert found == label
    assert type(found) is type(label)


def test_numbers_beyond_64_bits_are_refused() -> None:
    with pytest.raises(RefusedError, match="64 bits"):
        as_label("99999999999999999999999", "camera")
    assert as_label('"99999999999999999999999"', "camera") == "9" * 23
