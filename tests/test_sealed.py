"""What is sealed is read as it was, and not if a bit of it has changed."""

import json
import math

import pytest

from reseen.sealed import seal, unseal

VALUES = {"step": 3, "loss": 0.1 + 0.2, "terms": {"a on b": 1e-300}, "cmc": (0.5, 1), "none": None, "ü": "ö"}


@pytest.mark.parametrize("indent", [None, 2])
def test_the_same_comes_back(indent: int | None) -> None:
    assert unseal(seal(VALUES, indent=indent)) == {**VALUES, "cmc": [0.5, 1]}
    assert unseal(json.dumps(json.loads(seal(VALUES, indent=indent)), indent=7)) == {**VALUES, "cmc": [0.5, 1]}
    assert math.isnan(unseal(seal({"loss": math.nan}))["loss"])


def test_no_flip_of_a_bit_gives_other_values() -> None:
    text = seal(VALUES).encode()
    for place in range(8 * len(text)):
        flipped = bytearray(text)
        flipped[place // 8] ^= 1 << place % 8
        try:
            found = unseal(bytes(flipped))
        except ValueError:
            continue
        assert {name: found[name] for name in VALUES} == {**VALUES, "cmc": [0.5, 1]}, place


@pytest.mark.parametrize("text", ["[]", "3", "", "{", '{"a": 1, "crc32": "00000000"}', '{"a": 1, "crc32": 3}'])
def test_what_is_no_such_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        unseal(text)
    assert unseal('{"a": 1}') == {"a": 1}
