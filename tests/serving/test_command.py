"""``reseen serve``: what its words become."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reseen.commands.serve
import reseen.serving
from reseen.cli import main
from tests.serving.conftest import Colours
from tests.serving.test_hosts import CERTIFICATE, KEY

Serve = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Serve:
    """Run the verb up to where it would serve; give what it would serve with, and what it printed."""
    for variable in ("RESEEN_TOKEN", "RESEEN_READ_TOKEN"):
        monkeypatch.delenv(variable, raising=False)

    def serve(*words: object) -> tuple[dict[str, Any], str]:
        asked: dict[str, Any] = {}

        def create_app(*_: object, **options: Any) -> None:
            asked.update(options)

        monkeypatch.setattr(reseen.commands.serve, "open_model", lambda *_, **__: Colours())
        monkeypatch.setattr(reseen.serving, "create_app", create_app)
        monkeypatch.setattr(reseen.serving, "run", lambda _, __, **options: asked.update(options))
        main(["serve", str(tmp_path / "gallery"), "--model", "model.onnx", "--port", "0", *map(str, words)])
        return asked, capsys.readouterr().out

    return serve


def test_a_token_is_made_up_and_shown(serve: Serve) -> None:
    asked, printed = serve()
    assert len(asked["token"]) == 32
    assert f"/#token={asked['token']}\n" in printed
    assert printed.splitlines()[1].startswith("page: http://127.0.0.1:")
    assert asked["read_token"] is None


def test_tokens_out_of_files_and_the_environment_are_not_shown(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "write").write_text("secret-of-the-file\n")
    (tmp_path / "read").write_text("secret-to-read\n")
    asked, printed = serve("--token_file", tmp_path / "write", "--read_token_file", tmp_path / "read")
    assert (asked["token"], asked["read_token"]) == ("secret-of-the-file", "secret-to-read")
    assert "secret" not in printed
    monkeypatch.setenv("RESEEN_TOKEN", "secret-of-the-environment")
    monkeypatch.setenv("RESEEN_READ_TOKEN", "secret-to-read-there")
    asked, printed = serve()
    assert (asked["token"], asked["read_token"]) == ("secret-of-the-environment", "secret-to-read-there")
    assert "secret" not in printed


def test_names_certificate_and_prefix(serve: Serve) -> None:
    asked, printed = serve(
        *("--names", "[Gallery.lan]", "--certificate", CERTIFICATE, "--key", KEY, "--root_path", "/reseen")
    )
    assert asked["hosts"] == {"127.0.0.1", "localhost", "[::1]", "gallery.lan"}
    assert (asked["certificate"], asked["key"], asked["root_path"]) == (CERTIFICATE, KEY, "/reseen")
    assert "page: https://127.0.0.1:" in printed


def test_open_to_all_asks_for_no_token(serve: Serve) -> None:
    asked, printed = serve("--open_to_all", "true")
    assert asked["token"] is None
    assert "token" not in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--open_to_all", "true", "--token", "eight-letters"], "got both"),
        (["--key", KEY], "expected --certificate beside --key"),
        (["--certificate", KEY], "expected a PEM certificate"),
        (["--root_path", "reseen"], "expected a root_path such as /reseen"),
        (["--root_path", "/"], "expected a root_path such as /reseen"),
        (["--token_file", "missing"], "expected a token in missing"),
        (["--token", "a b c d e f"], "at least 8 letters"),
    ],
)
def test_words_that_do_not_fit(
    serve: Serve, words: list[object], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        serve(*words)
    printed = capsys.readouterr().err
    assert said in printed
    assert "Traceback" not in printed


def test_reading_and_writing_take_two_tokens(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESEEN_READ_TOKEN", "one-and-the-same")
    with pytest.raises(SystemExit):
        serve("--token", "one-and-the-same")
    monkeypatch.setenv("RESEEN_READ_TOKEN", "another-one")
    assert serve("--token", "one-and-the-same")[0]["read_token"] == "another-one"
    with pytest.raises(SystemExit):
        serve("--open_to_all", "true")
