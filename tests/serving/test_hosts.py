"""By which names the server answers, to whose pages, and behind a proxy."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from reseen.errors import ReseenError
from reseen.gallery import Gallery
from reseen.serving import allowed_names, check_certificate
from tests.serving.conftest import Colours, client, packed, paint, serving

CERTIFICATE, KEY = (Path(__file__).parent / name for name in ("certificate.pem", "key.pem"))


@pytest.fixture
def asking(gallery: Gallery) -> Iterator[httpx.Client]:
    """A server that any machine could reach, with names of its own, and that asks for no token."""
    hosts = allowed_names("0.0.0.0", ["Gallery.lan"])
    with serving(gallery, Colours(), token=None, hosts=hosts) as address, client(address) as made:
        yield made


def test_a_name_that_was_made_to_point_here_is_not_answered(asking: httpx.Client, gallery: Gallery) -> None:
    for host, status in {
        "evil.test": 421,
        "evil.test:8000": 421,
        "gallery.lan.evil.test": 421,
        "gallery.lan.": 421,
        "2130706433": 421,
        "0x7f.1": 421,
        "": 421,
        "gallery.lan": 200,
        "GALLERY.LAN:8000": 200,
        "LocalHost": 200,
        "192.168.0.7:8000": 200,  # an address: no page can have made it point here
        "[fe80::1]:8000": 200,
    }.items():
        for path in ("/facts", "/health"):
            assert asking.get(path, headers={"Host": host}).status_code == status, host
        answer = asking.post("/items", content=packed(paint(0)), headers={"Host": host})
        assert answer.status_code == status, host
    assert len(gallery) == 1


@pytest.mark.parametrize("host", ["gallery.lan:8000", "192.168.0.7:8000"])
def test_a_page_of_another_origin_neither_writes_nor_reads(asking: httpx.Client, gallery: Gallery, host: str) -> None:
    """Plain http other than loopback: browsers send Origin and no Sec-Fetch-Site."""
    for origin, status in {
        "http://evil.test": 403,
        "null": 403,
        "http://gallery.lan": 403,  # another port is another origin
        "http://gallery.lan:8001": 403,
        f"http://{host}.evil.test": 403,
        f"http://evil.test/{host}": 403,
        f"http://{host.upper()}": 200,
        f"https://{host}": 200,  # a proxy took the encryption off
    }.items():
        before = len(gallery)
        headers = {"Host": host, "Origin": origin}
        for kind in ("image/png", "application/octet-stream"):
            answer = asking.post("/items", content=packed(paint(1)), headers={**headers, "Content-Type": kind})
            assert answer.status_code == status, origin
        assert asking.get("/facts", headers=headers).status_code == status
        assert len(gallery) == before + (status == 200 and before == 0)


def test_what_a_foreign_page_can_send_without_asking_is_refused(asking: httpx.Client, gallery: Gallery) -> None:
    """``fetch(..., {mode: "no-cors"})``: no type at all, or one of a form's."""
    for kind in (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        for path in ("/items", "/search", "/marks", "/identities/rename"):
            request = asking.build_request("POST", path, content=packed(paint(0)))
            with httpx.Client(trust_env=False) as plain:
                if kind is not None:
                    request.headers["Content-Type"] = kind
                assert plain.send(request).status_code == 415, (kind, path)
    assert asking.request("OPTIONS", "/items", headers={"Origin": "http://evil.test"}).status_code in (403, 405)
    assert len(gallery) == 0


def test_a_proxy_may_put_the_server_below_a_prefix(gallery: Gallery) -> None:
    with serving(gallery, Colours(), root_path="/reseen") as address, client(address) as asking:
        assert asking.get("/facts").status_code == 200
        assert asking.post("/search", content=packed(paint(0))).status_code == 200
        assert {server["url"] for server in asking.get("/openapi.json").json()["servers"]} == {"/reseen"}
        with client(address, "wrong") as stranger:
            assert stranger.get("/facts").status_code == 401
            assert stranger.get("/").status_code == 200
            assert stranger.get("/health", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
        page = asking.get("/").text
        assert 'href="page.css"' in page
        assert 'src="page.js"' in page


def test_encrypted(gallery: Gallery) -> None:
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    with (
        serving(gallery, Colours(), certificate=CERTIFICATE, key=KEY) as address,
        client(address.replace("127.0.0.1", "localhost"), verify=trust) as asking,
    ):
        assert asking.post("/items", content=packed(paint(0))).json()["new"]
        assert asking.get("/health").json() == {"status": "ok"}
        with client(address.replace("https", "http")) as plain, pytest.raises(httpx.TransportError):
            plain.get("/health")
        assert asking.get("/health").json() == {"status": "ok"}


def test_a_certificate_that_cannot_be_served_is_one_line(tmp_path: Path) -> None:
    check_certificate(CERTIFICATE, KEY)
    both = tmp_path / "both.pem"
    both.write_bytes(CERTIFICATE.read_bytes() + KEY.read_bytes())
    check_certificate(both, None)
    (tmp_path / "text").write_text("text")
    locked = tmp_path / "locked.pem"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAw\n-----END ENCRYPTED PRIVATE KEY-----\n")
    for certificate, key in (
        (tmp_path / "missing", KEY),
        (CERTIFICATE, None),
        (CERTIFICATE, tmp_path / "text"),
        (tmp_path / "text", KEY),
        (KEY, CERTIFICATE),
        (CERTIFICATE, locked),
        (tmp_path, KEY),
    ):
        with pytest.raises(ReseenError, match=r"expected a PEM certificate and its key without a password in .*, got"):
            check_certificate(certificate, key)
