"""What the server answers to those who ask properly."""

import io
import logging
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from reseen.gallery import Gallery, calibrate, labelled
from reseen.pictures import digest
from tests.serving.conftest import TOKEN, Colours, client, packed, paint, serving

NUM_PEOPLE, NUM_EACH = 12, 5


@pytest.fixture
def filled(gallery: Gallery) -> Gallery:
    """Twelve people, five times each; the last two of each without a picture."""
    encoder = Colours()
    everyone = [(i, n) for i in range(NUM_PEOPLE) for n in range(NUM_EACH)]
    gallery.add(
        encoder([paint(i, n) for i, n in everyone]),
        identities=[f"person {i}" for i, _ in everyone],
        cameras=[["gate", "hall", 3, "3"][n % 4] for _, n in everyone],
        times=[100.0 * i + n for i, n in everyone],
        sources=[f"{i}/{n}.png" for i, n in everyone],
        pictures=[packed(paint(i, n), "JPEG") if n < 3 else None for i, n in everyone],
    )
    return gallery


@pytest.fixture
def asking(filled: Gallery) -> Iterator[httpx.Client]:
    with serving(filled, Colours()) as address, client(address) as made:
        yield made


def test_searching_finds_who_it_is(asking: httpx.Client, filled: Gallery) -> None:
    answer = asking.post("/search", params={"k": 7}, content=packed(paint(4, 9))).json()
    assert answer["query"] == digest(paint(4, 9)).hex()
    assert answer["threshold"] is None
    assert [m["identity"] for m in answer["matches"]][:5] == ["person 4"] * 5
    vector = Colours()([paint(4, 9)])
    expected = filled.search(vector, 7)[0]
    for match, found in zip(answer["matches"], expected, strict=True):
        assert match.pop("picture") == match["source"].endswith(("0.png", "1.png", "2.png"))
        assert (match.pop("similarity"), match.pop("probability")) == (pytest.approx(found.similarity, abs=1e-5), None)
        assert match.pop("is_copy") is False
        assert match == {name: getattr(found.item, name) for name in match}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_every_kind_of_picture_is_taken(asking: httpx.Client, kind: str) -> None:
    headers = {"Content-Type": f"image/{kind.lower()}"}
    answer = asking.post("/search", params={"by": "identity"}, content=packed(paint(2), kind), headers=headers).json()
    assert answer["matches"][0]["identity"] == "person 2"
    assert len(answer["matches"]) == NUM_PEOPLE


def test_a_phone_s_picture_with_a_second_one_behind_it_is_taken(asking: httpx.Client) -> None:
    file, other = io.BytesIO(), Image.fromarray(paint(9))
    Image.fromarray(paint(2)).save(file, "MPO", save_all=True, append_images=[other])
    answer = asking.post("/search", content=file.getvalue(), headers={"Content-Type": "image/jpeg"})
    assert answer.json()["matches"][0]["identity"] == "person 2"


@pytest.mark.parametrize("name", ["/dev/video0", "rtsp://10.0.0.7/stream", "نرگس‌زار", "👩‍🔬", "a b", "7e3", "null"])
def test_names_of_all_kinds_are_kept_and_found_again(asking: httpx.Client, name: str) -> None:
    where = {"camera": name, "identity": name}
    added = asking.post("/items", params=where, content=packed(paint(50))).json()
    (match,) = asking.post("/search", params=where, content=packed(paint(50))).json()["matches"]
    assert (match["id"], match["camera"], match["identity"]) == (added["id"], name, name)


def test_filters_tell_numbers_from_their_text(asking: httpx.Client) -> None:
    def cameras(*asked: str, **window: float) -> set[object]:
        parameters = {"k": 200, "camera": list(asked), **window}
        answer = asking.post("/search", params=parameters, content=packed(paint(0))).json()
        return {(m["camera"], m["time"] // 100) for m in answer["matches"]}

    everyone = range(NUM_PEOPLE)
    assert cameras("gate") == {("gate", i) for i in everyone}
    assert cameras("3") == {(3, i) for i in everyone}
    assert cameras('"3"') == {("3", i) for i in everyone}
    assert cameras("gate", "hall", since=200, until=300) == {("gate", 2), ("hall", 2)}
    refused = asking.post("/search", params={"camera": "nowhere"}, content=packed(paint(0)))
    assert refused.status_code == 422
    assert "among 3, " in refused.text
    assert "got nowhere" in refused.text


def test_adding_looking_up_and_deleting(asking: httpx.Client, filled: Gallery) -> None:
    body, parameters = (
        packed(paint(77)),
        {"identity": "new one", "camera": "7", "track": "t", "time": 5.5, "source": "a/b.png"},
    )
    added = asking.post("/items", params=parameters, content=body).json()
    assert added["new"]
    assert asking.post("/items", params=parameters, content=body).json() == {**added, "new": False}
    item = asking.get(f"/items/{added['id']}").json()
    assert item == {"id": added["id"], **parameters, "camera": 7, "extra": {}}
    picture = asking.get(f"/items/{added['id']}/picture")
    assert (picture.headers["content-type"], picture.content[:2]) == ("image/jpeg", b"\xff\xd8")
    assert asking.post("/search", content=body).json()["matches"][0]["id"] == added["id"]
    assert filled.items([added["id"]])[0] is not None

    assert asking.delete(f"/items/{added['id']}").json() == {"deleted": 1}
    assert asking.delete(f"/items/{added['id']}").status_code == 404
    assert asking.get(f"/items/{added['id']}").status_code == 404
    assert asking.get(f"/items/{added['id']}/picture").status_code == 404


def test_marks_are_kept_and_calibration_shows(asking: httpx.Client, filled: Gallery) -> None:
    answer = asking.post("/search", content=packed(paint(4, 9))).json()
    match = answer["matches"][0]
    verdict = {"query": answer["query"], "item": match["id"], "similarity": match["similarity"], "same": True}
    assert asking.post("/marks", json=verdict).json() == {"kept": 1}
    (mark,) = filled.marks()
    assert (mark.query, mark.item, mark.same) == (answer["query"], match["id"], True)
    assert asking.post("/marks", json={**verdict, "same": None}).json() == {"kept": 0}
    assert filled.marks() == []

    assert asking.get("/facts").json() == {
        "items": 60, "cameras": [3, "3", "gate", "hall"], "since": 0.0, "until": 1104.0, "calibrated": False,
        "num_bytes": 10_000_000, "num_answers": 200,
    }  # fmt: skip
    filled.put_calibration(calibrate(*labelled(filled), rates=(0.1, 0.05)))
    assert asking.get("/facts").json()["calibrated"]
    answer = asking.post("/search", params={"k": 60}, content=packed(paint(4, 9))).json()
    assert answer["false_alarms"] == 0.05  # 60 probes cannot show one in 100: the nearest rate that they can
    assert answer["threshold"] == filled.calibration().open_set_threshold(0.05).threshold
    probabilities = [m["probability"] for m in answer["matches"]]
    assert probabilities[0] > 0.8 > 0.2 > probabilities[-1]
    assert (answer["prior"], answer["unfamiliar"], match["is_copy"]) == (0.5, False, False)
    black = asking.post("/search", content=packed(np.zeros((32, 16, 3), np.uint8))).json()
    assert black["unfamiliar"] is (black["matches"][0]["similarity"] < filled.calibration().familiar)


def test_the_token_is_asked_for_everywhere_but_at_the_door(asking: httpx.Client) -> None:
    with client(str(asking.base_url), token="wrong") as stranger:
        for method, path in (
            ("GET", "/facts"), ("GET", "/metrics"), ("POST", "/search"), ("POST", "/items"), ("POST", "/marks"),
            ("GET", "/items/" + "0" * 32), ("DELETE", "/items/" + "0" * 32), ("GET", "/nothing"),
        ):  # fmt: skip
            answer = stranger.request(method, path, content=packed(paint(0)))
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
            assert "token" in answer.json()["error"]
        assert stranger.get("/health").json() == {"status": "ok"}
        page = stranger.get("/")
        assert "Seen before?" in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert not re.search(
            r"https?://(?!www\.w3\.org)", page.text + stranger.get("/page.js").text + stranger.get("/page.css").text
        )


def test_a_foreign_name_is_not_answered(asking: httpx.Client) -> None:
    for name, status in (
        ("evil.example", 421),
        ("evil.example:80", 421),
        ("localhost:1", 200),
        ("[::1]:5", 200),
        ("", 421),
    ):
        assert asking.get("/health", headers={"Host": name}).status_code == status, name


def test_another_site_s_page_gets_nothing_from_a_browser(filled: Gallery) -> None:
    """Also where no token is asked for, as by a server of this machine's own."""
    with serving(filled, Colours(), token=None) as address, client(address) as asking:
        for origin, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
            answer = asking.post("/search", content=packed(paint(0)), headers={"Sec-Fetch-Site": origin})
            assert answer.status_code == status, origin
        assert asking.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200  # a link to the page


def test_a_client_that_leaves_is_no_failure(
    asking: httpx.Client, filled: Gallery, caplog: pytest.LogCaptureFixture
) -> None:
    port = asking.base_url.port
    for path in ("/search", "/marks"):
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 9\r\n"
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(f"{head}Content-Type: image/png\r\n\r\nabc".encode())
            time.sleep(0.1)
    for _ in range(100):
        if 'route="/marks"' in (text := asking.get("/metrics").text):
            break
        time.sleep(0.02)
    assert 'route="/search",status="499"' in text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_health_is_the_gallery_s_too(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path / "gallery", Colours.fingerprint)
    gallery.add(Colours()([paint(0)]))
    with serving(gallery, Colours()) as address, client(address) as asking:
        assert asking.get("/health").json() == {"status": "ok"}
        gallery.close()
        for path in ("/health", "/facts"):
            answer = asking.get(path)
            assert answer.status_code >= 500
            assert list(answer.json()) == ["error"]


def test_openapi_describes_every_address(asking: httpx.Client) -> None:
    described = asking.get("/openapi.json").json()
    paths = described["paths"]
    for path, methods in paths.items():
        for told in methods.values():
            assert told["responses"]["4XX"]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorResponse")
            assert "422" not in told["responses"]
            assert told.get("security", []) == ([] if path in ("/health", "/live") else [{"token": []}])
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert {(path, method) for path, methods in paths.items() for method in methods} == {
        ("/health", "get"), ("/live", "get"), ("/metrics", "get"), ("/facts", "get"), ("/search", "post"),
        ("/items", "post"),
        ("/items/{item}", "get"), ("/items/{item}", "delete"), ("/items/{item}/picture", "get"), ("/marks", "post"),
        ("/items/{item}", "patch"), ("/identities/rename", "post"),
    }  # fmt: skip
    assert all("summary" in m or "description" in m for methods in paths.values() for m in methods.values())


def test_metrics_count(asking: httpx.Client) -> None:
    asking.post("/search", content=packed(paint(0)))
    asking.get("/no/such/address")
    text = asking.get("/metrics").text
    assert 'reseen_requests_total{method="POST",route="/search",status="200"} 1.0' in text
    assert 'reseen_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert "reseen_items 60.0" in text
    assert "reseen_batch_pictures_sum 1.0" in text


def test_an_empty_gallery_is_served(gallery: Gallery) -> None:
    with serving(gallery, Colours()) as address, client(address) as asking:
        assert asking.post("/search", content=packed(paint(0))).json()["matches"] == []
        facts = asking.get("/facts").json()
        assert (facts["items"], facts["cameras"], facts["since"], facts["until"]) == (0, [], None, None)


def test_a_failing_model_is_a_500_without_a_traceback(gallery: Gallery) -> None:
    class Broken(Colours):
        def encode(self, images: np.ndarray) -> np.ndarray:
            raise RuntimeError("a secret of the model")

    with serving(gallery, Broken()) as address, client(address) as asking:
        for _ in range(2):
            answer = asking.post("/search", content=packed(paint(0)))
            assert (answer.status_code, list(answer.json())) == (500, ["error"])
            assert "secret" not in answer.text
        assert asking.get("/health").status_code == 200
