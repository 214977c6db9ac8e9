import pytest

from reseen.labels import (
    listed,
    ordered,
    ordered_for_draws,
    parse_argument,
    parse_arguments,
    parse_identity,
    parse_label,
    visible,
)


@pytest.mark.parametrize("number", [0, 7, -1, 10, 2**63 - 1, -(2**63), 123456789])
def test_the_plain_form_of_an_integer_is_one(number: int) -> None:
    assert parse_label(str(number)) == number
    assert type(parse_label(str(number))) is int


@pytest.mark.parametrize(
    "text",
    [
        *("001", "-0", "+1", "1.00", "01.0", "1.", "1.5", "1e3", "1_000", "0x1F"),
        *("12:30", " 7", "7 ", "7\n", "٣", "²", "true", "null", ""),
        *("anna", str(2**63), str(-(2**63) - 1), "9" * 5000),
    ],
)
def test_any_other_text_stays_what_it_is(text: str) -> None:
    assert parse_label(text) == text


def test_a_column_with_gaps_is_the_same_in_text() -> None:
    # as pandas writes it: the same rows in Parquet give the same labels
    assert [parse_label(text) for text in ("0.0", "7.0", "-1.0")] == [0, 7, -1]
    assert listed(["7.0"]) == '"7.0"'
    assert parse_argument('"7.0"') == "7.0"


def test_letters_and_their_accents_are_one() -> None:
    apart, together = "Jose\u0301", "Jos\u00e9"
    assert parse_label(apart) == parse_identity(apart) == parse_argument(f'"{apart}"') == together
    assert parse_arguments(f"['{apart}', {apart}]") == [together, together]


def test_nobody_known_is_no_identity() -> None:
    assert [parse_identity(text) for text in ("", "unknown", "Unknown", "unknown 2", "7")] == [
        *[None] * 3,
        "unknown 2",
        7,
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("001", ["001"]),
        ("7", [7]),
        ('"7"', ["7"]),
        ("[001, gate, 7]", ["001", "gate", 7]),
        ('["001", "7", \'8\', 7]', ["001", "7", "8", 7]),
        ("[12:30, 1_000, 0x1F, true]", ["12:30", "1_000", "0x1F", "true"]),
        ("[gate]", ["gate"]),
        ("[[/b]]", ["[[/b]]"]),
        ("[red]Bob[/red]", ["[red]Bob[/red]"]),
        ("[]", ["[]"]),
        ("#1", ["#1"]),
        (7, [7]),
    ],
)
def test_an_argument_keeps_what_was_typed(written: int | str, read: list[int | str]) -> None:
    assert parse_arguments(written) == read
    if len(read) == 1 and written != "[gate]":
        assert parse_argument(written) == read[0]


def test_labels_are_listed_as_they_can_be_asked_for() -> None:
    labels: list[int | str] = ["gate", 10, 9, "001", "9"]
    assert ordered(labels) == [9, 10, "001", "9", "gate"]
    assert ordered_for_draws(labels) == ["001", 10, 9, "9", "gate"]
    assert ordered_for_draws([10, 9]) == [9, 10]
    assert listed(labels) == '9, 10, 001, "9", gate'
    assert listed(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert listed([]) == "none"


def test_hidden_characters_are_shown() -> None:
    assert visible("a\x1b[31mb\n\u202ec\x00\x9b") == "a\\x1b[31mb\\n\\u202ec\\x00\\x9b"
    assert visible("a\n\tb", keep="\n\t") == "a\n\tb"
    for text in ("né 日本 [/b] 🐕", "می\u200cخواهم"):  # a joiner belongs to how Persian is written
        assert visible(text) == text
