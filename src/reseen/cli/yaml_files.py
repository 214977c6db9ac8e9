"""Safe reader of YAML settings files, which may come from anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from reseen.errors import RunError
from reseen.files import require_file

MAX_BYTES = 300_000  # bytes: reading takes seconds for some three times as much
MAX_DEPTH = 50


class _Loader(yaml.SafeLoader):
    """Plain values only; no aliases, which can name a file's parts within themselves or multiply them without end."""

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="brackets too deep within one another", problem_mark=self.get_mark())
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias, which is not taken,", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for number, (key, _) in enumerate(node.value):
            if isinstance(key.value, str) and key.value in keys[:number]:
                raise yaml.MarkedYAMLError(problem=f"{key.value} twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the settings of a YAML file, by name.

    Raises:
        RunError: The file cannot be read, is no YAML, has aliases or a name twice, or holds no settings by name.
    """
    expected = _expected(path)
    try:
        require_file(path)
        if path.stat().st_size > MAX_BYTES:
            raise RunError(f"{expected}, got {path.stat().st_size / 1e6:.1f} MB; settings take less than 0.3")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{expected}, got bytes that are no text in UTF-8") from error
    except OSError as error:
        raise RunError(f"{expected}, got: {error.strerror}") from error
    return parse_yaml(text, source=path)


def parse_yaml(text: str, *, source: object) -> dict[str, Any]:
    """Return the settings of a YAML text, by name.

    Args:
        text: May come from anybody.
        source: Where it is from, for the error.

    Raises:
        RunError: As `read_yaml`.
    """
    expected = _expected(source)
    try:
        if len(text) > MAX_BYTES:
            raise RunError(f"{expected}, got {len(text) / 1e6:.1f} MB; settings take less than 0.3")
        value = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        place = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise RunError(f"{expected}, got {error.problem}{place}") from error
    except RecursionError as error:
        raise RunError(f"{expected}, got lists or settings within one another, too deep to read") from error
    except (yaml.YAMLError, ValueError) as error:
        raise RunError(f"{expected}, got {str(error).partition(chr(10))[0]}") from error
    if not isinstance(value, dict):
        kind = {type(None): "nothing", list: "a list"}.get(type(value), "a single value")
        raise RunError(f"{expected}, got {kind}")
    return value


def _expected(source: object) -> str:
    return f"expected settings by name in {source}, as in loss_weight: 0.1"
