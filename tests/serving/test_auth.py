"""Who may do what: every address, both tokens, and ways past them."""

import contextlib
import http.client
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reseen.commands.serve import token_of
from reseen.errors import ReseenError
from reseen.gallery import Gallery
from reseen.serving import Limits, create_app
from reseen.serving.auth import OPEN_PATHS
from tests.serving.conftest import TOKEN, Colours, client, packed, paint, serving

READ_TOKEN = "a token to read only"
WRITES = {
    ("POST", "/items"),
    ("PATCH", "/items/{item}"),
    ("DELETE", "/items/{item}"),
    ("POST", "/marks"),
    ("POST", "/identities/rename"),
}


@pytest.fixture
def address(gallery: Gallery) -> Iterator[str]:
    gallery.add(Colours()([paint(i) for i in range(3)]), identities=[0, 1, 2], pictures=[packed(paint(0), "JPEG")] * 3)
    with serving(gallery, Colours(), read_token=READ_TOKEN) as made:
        yield made


def described(asking: httpx.Client) -> set[tuple[str, str]]:
    """Every address with its method, as OpenAPI has them."""
    paths = asking.get("/openapi.json").json()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def test_no_address_is_missing_from_openapi_but_the_page_s(gallery: Gallery) -> None:
    app = create_app(gallery, Colours(), token=TOKEN)
    hidden = set(app.openapi()["paths"]) ^ set(paths_of(app.routes))
    assert hidden == {"/", "/page.css", "/page.js", "/openapi.json"}


def paths_of(routes: list[object]) -> Iterator[str]:
    for route in routes:
        if hasattr(route, "path"):
            yield route.path
        else:  # a router that is included
            yield from paths_of(route.original_router.routes)  # type: ignore[attr-defined]


def test_each_token_opens_what_it_is_for(address: str, gallery: Gallery) -> None:
    item = gallery.select()[0]
    with client(address) as writer, client(address, READ_TOKEN) as reader, client(address, "wrong") as stranger:
        addresses = described(writer)
        assert addresses > WRITES
        for method, path in sorted(addresses):
            where = path.replace("{item}", item)
            body = {"content": packed(paint(1))} if method == "POST" else {}
            if path in ("/health", "/live"):
                continue
            answer = stranger.request(method, where, **body)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), (method, path)
            answer = reader.request(method, where, **body)
            if (method, path) in WRITES:
                assert (answer.status_code, "may only read" in answer.json()["error"]) == (403, True), (method, path)
            else:
                assert answer.status_code == 200, (method, path)
        assert len(gallery) == 3
        assert writer.delete(f"/items/{item}").status_code == 200


def test_ways_past_the_token(address: str) -> None:
    """Spellings of addresses, methods and headers: none of them reaches anything."""
    good = f"Bearer {TOKEN}"
    headers = [
        {}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": TOKEN},
        {"Authorization": good.lower()}, {"Authorization": good.upper()}, {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"{good}x"}, {"Authorization": good[:-1]}, {"Authorization": f"Bearer  {TOKEN}"},
        {"Authorization": f"{good},{good}"}, {"Authorization": f"Bearer {READ_TOKEN}{TOKEN}"}, {"X-Token": TOKEN},
        {"Proxy-Authorization": good}, {"Cookie": f"token={TOKEN}"}, {"X-Forwarded-For": "127.0.0.1"},
        {"X-Original-URL": "/health"}, {"X-Rewrite-URL": "/health"}, {"X-HTTP-Method-Override": "GET"},
    ]  # fmt: skip
    paths = [
        "/facts", "/facts/", "//facts", "/Facts", "/%66acts", "/facts%00", "/facts%2f", "/facts;x", "/facts?token=1",
        "/health/../facts", "/health%2f..%2ffacts", "/page.js/../facts", "/./facts", "/facts#x", "/health;/facts",
        "/items/" + "0" * 32, "/items/" + "0" * 32 + "/picture", "/metrics", "/metrics/", "/search", "/nothing",
    ]  # fmt: skip
    tried = 0

    def status(method: str, path: str, header: dict[str, str]) -> int:
        nonlocal tried
        tried += 1
        # httpx would tidy the paths up.
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, headers=header)
            return connection.getresponse().status

    for method in ("GET", "POST", "HEAD", "OPTIONS", "TRACE", "FACTS"):
        for path in paths:
            assert status(method, path, {}) == 401, (method, path)
    for header in headers:
        assert status("GET", "/facts", header) == 401, header
    assert tried > 109
    assert status("GET", "/facts", {"Authorization": good}) == 200


def test_a_body_is_not_read_before_the_token_is_seen(address: str) -> None:
    for method, path in sorted({*WRITES, ("POST", "/search")}):
        connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
        with contextlib.closing(connection):
            connection.putrequest(method, path.replace("{item}", "0" * 32))
            for name, value in (("Content-Length", "1000"), ("Content-Type", "application/json")):
                connection.putheader(name, value)
            connection.endheaders(b"{")  # the other 999 bytes never come
            assert connection.getresponse().status == 401, path


def test_relabelling_and_renaming(address: str, gallery: Gallery) -> None:
    item = gallery.select()[0]
    with client(address) as asking:
        assert asking.patch(f"/items/{item}", json={"identity": "Ann"}).json()["identity"] == "Ann"
        assert asking.patch(f"/items/{item}", json={"identity": 7}).json()["identity"] == 7
        assert asking.patch(f"/items/{item}", json={"identity": None}).json()["identity"] is None
        assert gallery.items([item])[0].identity is None
        assert asking.patch(f"/items/{'0' * 32}", json={"identity": 1}).status_code == 404
        assert asking.post("/identities/rename", json={"identity": 1, "new": 2}).json() == {"changed": 1}
        assert asking.post("/identities/rename", json={"identity": 1, "new": 2}).json() == {"changed": 0}
        assert asking.post("/identities/rename", json={"identity": "2", "new": 3}).json() == {"changed": 0}  # is text
        assert sorted(str(each.identity) for each in gallery.items(gallery.select())) == ["2", "2", "None"]
        wrong = [{}, {"identity": True}, {"identity": 1.5}, {"identity": ""}, {"identity": "a\n"}, {"identity": 2**63}]
        wrong += [{"identity": [1]}, {"identity": "x" * 201}, {"identity": "../x"}, {"identity": 1, "more": 1}]
        for body in wrong:
            assert asking.patch(f"/items/{item}", json=body).status_code == 422, body
            assert asking.post("/identities/rename", json={"new": 5, **body}).status_code == 422, body
        assert asking.post("/identities/rename", json={"identity": 2, "new": None}).status_code == 422


def test_where_a_token_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, name = tmp_path / "token", "RESEEN_TOKEN"
    monkeypatch.delenv(name, raising=False)
    assert token_of("token", None, None, name) is None
    monkeypatch.setenv(name, "of the environment".replace(" ", "-"))
    assert token_of("token", None, None, name) == "of-the-environment"
    file.write_text(f"{(made := secrets.token_urlsafe())}\n")
    file.chmod(stat.S_IRUSR)
    assert token_of("token", None, file, name) == made
    assert token_of("token", "an-option", None, name) == "an-option"
    for content, said in ((b"", "at least 8"), (b"two words", "at least 8"), (b"\xff\xfe" * 9, "expected a token in")):
        file.chmod(stat.S_IRUSR | stat.S_IWUSR)
        file.write_bytes(content)
        with pytest.raises(ReseenError, match=said) as error:
            token_of("token", None, file, name)
        assert not re.search("two words", str(error.value)), "what may be a token is not shown"
    with pytest.raises(ReseenError, match=r"expected a token in .*missing"):
        token_of("token", None, tmp_path / "missing", name)
    with pytest.raises(ReseenError, match="got both"):
        token_of("token", "an-option", file, name)


def test_a_server_without_a_token_describes_none(gallery: Gallery) -> None:
    with serving(gallery, Colours(), Limits(), token=None) as address, httpx.Client(trust_env=False) as asking:
        assert "securitySchemes" not in asking.get(f"{address}/openapi.json").json()["components"]
        assert asking.get(f"{address}/facts").status_code == 200


def test_open_addresses_are_few() -> None:
    assert {"/", "/page.css", "/page.js", "/health", "/live", "/openapi.json"} == OPEN_PATHS
