"""Help texts of flags: what jsonargparse writes behind them, without the types of Python."""

from __future__ import annotations

import re
from argparse import Action
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

_NOTES = re.compile(r" \((?P<required>required)?(?:, )?(?:type: (?P<notes>.*))?\)\Z", re.DOTALL)
_DEFAULT = re.compile(r", default: (?P<default>.*?)(?:, known subclasses: (?P<classes>.*))?\Z", re.DOTALL)
_REPLACED = {
    r"Print the configuration after applying.*": "Print all settings as YAML, a file for --config, and exit.",
    r"Show the help for .* and exit\.": "Explain what this takes, one of these by its name, and exit.",
    r"Path to a configuration file\.": "A YAML file of the settings below.",
}


class HelpFormatter(DefaultHelpFormatter):
    """Formatter of help texts whose notes say whether a flag is required, its default, and the names it takes."""

    def _expand_help(self, action: Action) -> str:
        text = super()._expand_help(action)
        for pattern, instead in _REPLACED.items():
            text = re.sub(rf"\A{pattern}\Z", instead, text, flags=re.DOTALL)
        choices_shown = str(action.metavar or "").startswith("{")
        return with_plain_notes(text, choices_shown=choices_shown).replace("``", "`")


class Parser(ArgumentParser):
    """Parser with such help texts, also for the arguments of a class that an argument names."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{"formatter_class": HelpFormatter, **settings})


def with_plain_notes(text: str, *, choices_shown: bool = False) -> str:
    """Return a help text with plain words in the brackets at its end, or without these where they say nothing.

    Args:
        text: As jsonargparse has it: ``Pictures at a time. (type: int, default: 64)``.
        choices_shown: The flag itself lists the values that it takes.
    """
    notes = _NOTES.search(text)
    if notes is None:
        return text
    kind, plain = notes["notes"] or "", ["required"] if notes["required"] else []
    default = _DEFAULT.search(kind)
    words = re.findall(r"'([^']+)'", kind[: default.start()] if default else kind) if "Literal[" in kind else []
    if words and not choices_shown:
        plain.append(f"one of {', '.join(words)}")
    if default is not None:
        if classes := [
            name.rpartition(".")[2] for name in re.split(r",\s+", default["classes"] or "") if name.count(".") > 1
        ]:
            plain.append(f"one of {', '.join(classes)}")
        value = default["default"].strip()
        if value not in ("", "null"):
            plain.append(f"default: {value.lower() if value in ('True', 'False') else value}")
    return text[: notes.start()] + (f" ({'; '.join(plain)})" if plain else "")
