"""Seeded mutations of bytes, of text, and of plain values as JSON has them."""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

WRONG: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**70, -(2**70), 0.5, -0.0, 1e308, float("inf"), float("nan")),
    *("", " ", "\0", "x" * 3000, "null", "1", "1e999", "../..", "/etc/passwd", "ü\u202e", "[b]", "\x1b[31m", "%s{0}"),
    *("os.abort", "os.system", "..x", "x.", "sys.exit", "timm:hf_hub:a/b", "timm:", "file:///etc/passwd", "canary.Net"),
    *([], {}, [[]], [None], {"": None}, {"class_path": "os.abort"}, [1, "1", None], {"init_args": {}}),
)
"""Values of every kind where another was meant."""
TOKENS = (
    *(b"", b"\0", b"\xff", b"\xfe\xff", b"\xed\xa0\x80", b'"', b"'", b",", b";", b"\t", b"\n", b"\r", b"\r\n", b"\\"),
    *(b"-1", b"0", b"1e999", b"nan", b"inf", b"-inf", b"9" * 400, b"1" * 5000, b"0x10", b"1_000", b"\xd9\xa1"),
    *(
        b"[",
        b"]",
        b"{",
        b"}",
        b"&a ",
        b"*a",
        b"!!python/object:os.abort",
        b"<<: ",
        b": ",
        b"- ",
        b"# ",
        b"%",
        b"\x1b[2J",
    ),
    *(b"\xe2\x80\xae", b"\xef\xbb\xbf", b"=cmd()", b"../" * 60, b"x" * 140_000, b"null", b"~", b"true"),
)
"""Pieces of text that mean something to some reader."""


def damaged(content: bytes, chance: Random) -> bytes:
    """Return bytes as a disk, a broken copy or a fuzzer leaves them."""
    if not content:
        return chance.randbytes(100)
    spoilt = bytearray(content)
    place, other = sorted(chance.randrange(len(spoilt)) for _ in range(2))
    kind = chance.randrange(10)
    if kind < 3:
        for _ in range(chance.choice((1, 1, 2, 8, 64))):
            spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    elif kind == 3:
        del spoilt[place:]
    elif kind == 4:
        del spoilt[place : min(other, place + 4000)]
    elif kind == 5:
        spoilt[place:place] = spoilt[place : min(other, place + 4000)] * chance.choice((1, 3))
    elif kind == 6:
        length = min(other - place, chance.choice((1, 4, 512, 4096)))
        spoilt[place : place + length] = bytes([chance.choice((0, 255))]) * length
    elif kind == 7:
        spoilt[place:place] = chance.randbytes(chance.choice((1, 7, 600)))
    elif kind == 8:  # the beginning, where lengths and kinds stand
        for _ in range(chance.choice((1, 3))):
            spoilt[chance.randrange(min(64, len(spoilt)))] = chance.randrange(256)
    else:
        size = chance.choice((2, 4, 8))
        spoilt[place : place + size] = chance.choice((2**63, 2**31, 2**32 - 1, 1)).to_bytes(8, "little")[:size]
    return bytes(spoilt)


def reworded(content: bytes, chance: Random) -> bytes:
    """Return text with some pieces of it replaced, doubled, moved or left out."""
    spoilt = content
    for _ in range(chance.choice((1, 1, 2, 4))):
        words = list(_words(spoilt))
        start, end = chance.choice(words) if words else (0, 0)
        kind = chance.randrange(6)
        if kind < 3:
            spoilt = spoilt[:start] + chance.choice(TOKENS) + spoilt[end:]
        elif kind == 3:
            spoilt = spoilt[:end] + chance.choice(TOKENS) + spoilt[end:]
        elif kind == 4:
            lines = spoilt.splitlines(keepends=True)
            place = chance.randrange(len(lines)) if lines else 0
            lines[place:place] = chance.choice((lines[place : place + 1], [chance.choice(TOKENS) + b"\n"], lines))
            spoilt = b"".join(lines)
        else:
            spoilt = spoilt[:start] + spoilt[end:]
    return spoilt if spoilt != content else spoilt + chance.choice(TOKENS)


def _words(content: bytes) -> Iterator[tuple[int, int]]:
    start = 0
    for place in range(len(content) + 1):
        if place == len(content) or not (content[place : place + 1].isalnum() or content[place] in b"._-/"):
            if place > start:
                yield start, place
            start = place + 1


def twisted(value: Any, chance: Random, *, wrong: tuple[Any, ...] = WRONG) -> Any:
    """Return plain values with one of them, wherever it stands, replaced, renamed, added or left out."""
    changed = copy.deepcopy(value)
    places = list(_places(changed))
    if not places:
        return chance.choice(wrong)
    holder, key = chance.choice(places)
    kind = chance.randrange(8)
    if kind == 6 and isinstance(holder, dict):
        holder[chance.choice(("", "extra", "Backbone", "os.abort"))] = holder.pop(key)
    elif kind == 7:
        del holder[key]
    else:
        holder[key] = copy.deepcopy(chance.choice(wrong))
    return changed if _text(changed) != _text(value) else twisted(value, chance, wrong=wrong)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inside in pairs:
        yield value, key
        yield from _places(inside)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def several(mutate: Callable[[bytes, Random], bytes], content: bytes, number: int, seed: str) -> list[bytes]:
    """Return mutations that differ from one another and from what they were made of."""
    chance, made = Random(seed), {content: None}
    while len(made) <= number:
        made[mutate(content, chance)] = None
    return [*made][1:]
