"""The page in a browser: a picture in, matches out, verdicts kept, on a laptop and on a phone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reseen.gallery import Gallery, calibrate, labelled
from tests.serving import chromium
from tests.serving.conftest import TOKEN, Colours, packed, paint, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.found() is None, reason="no Chromium on this machine"),
]
SIZES = {"laptop": (1280, 800), "phone": (390, 844)}


@pytest.fixture
def address(gallery: Gallery) -> Iterator[str]:
    encoder, everyone = Colours(), [(i, n) for i in range(15) for n in range(4)]
    gallery.add(
        encoder([paint(i, n) for i, n in everyone]),
        identities=[f"person <b>{i}</b>" for i, _ in everyone],
        cameras=[["gate", "hall", 7, '"7"'][n] for _, n in everyone],
        times=[1.7e9 + 3600.0 * i + n for i, n in everyone],
        pictures=[packed(paint(i, n), "JPEG") for i, n in everyone],
    )
    gallery.put_calibration(calibrate(*labelled(gallery), rates=(0.1, 0.05)))
    with serving(gallery, encoder) as made:
        yield made


@pytest.fixture
def page(tmp_path: Path) -> Iterator[chromium.Page]:
    with chromium.Page(tmp_path / "profile") as made:
        yield made
        assert made.said == []


def ask(page: chromium.Page, tmp_path: Path, identity: int) -> None:
    picture = tmp_path / f"{identity}.png"
    picture.write_bytes(packed(paint(identity, 99)))
    page.choose_file("#file", picture)
    page.wait_for(f"document.querySelector('#status').innerText.includes('>{identity}<')")


@pytest.mark.parametrize("size", SIZES)
def test_a_visit(page: chromium.Page, address: str, gallery: Gallery, tmp_path: Path, size: str) -> None:
    width, height = SIZES[size]
    page.open(f"{address}/#token={TOKEN}", width=width, height=height, mobile=size == "phone")
    page.wait_for("!document.querySelector('#desk').hidden")
    assert "token" not in page.run("location.href")
    assert page.run("document.querySelector('#facts').innerText") == "60 pictures · 4 cameras"

    ask(page, tmp_path, 4)
    assert page.run("document.querySelector('.who').innerText") == "person <b>4</b>"  # text, never markup
    assert page.run("document.querySelectorAll('#matches li[data-item]').length") == 20
    assert page.run("document.querySelectorAll('#chart circle').length") == 20
    page.wait_for("document.querySelectorAll('#matches img').length == 20")
    page.wait_for("[...document.querySelectorAll('#matches img')].every(i => i.complete && i.naturalWidth > 0)")
    assert page.run("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the screen"

    page.run("document.querySelector('#matches .right').click()")
    page.wait_for("document.querySelector('#matches .right').getAttribute('aria-pressed') == 'true'")
    page.run("document.querySelectorAll('#matches .wrong')[5].click()")
    page.wait_for("document.querySelectorAll('#matches .wrong')[5].getAttribute('aria-pressed') == 'true'")
    assert sorted(mark.same for mark in gallery.marks()) == [False, True]
    page.run("document.querySelectorAll('#matches .wrong')[5].click()")  # a second click takes it back
    page.wait_for("document.querySelectorAll('#matches .wrong')[5].getAttribute('aria-pressed') == 'false'")
    assert [mark.same for mark in gallery.marks()] == [True]
    assert "if it was 50 % before" in page.run("document.querySelector('#status').innerText")

    places = "[...document.querySelectorAll('#matches .who + .quiet')].map(e => e.innerText.split(' · ')[0])"
    cameras = f"[...new Set({places})].join()"
    page.run("document.querySelectorAll('#camera-list button')[0].click()")  # the first click chooses one alone
    page.wait_for(f"{cameras} == '7'")
    page.run("document.querySelectorAll('#camera-list button')[1].click()")  # the next adds one
    page.wait_for(f"{cameras}.split(',').length == 2")
    for _ in range(2):
        page.run("document.querySelector('#camera-list [aria-pressed=true]').click()")
    page.wait_for("document.querySelector('#status').innerText == 'Choose at least one camera.'")
    page.run("document.querySelector('#all').click()")
    page.wait_for("document.querySelectorAll('#matches li[data-item]').length == 20")

    page.run("by.value = 'identity'; by.dispatchEvent(new Event('change'))")
    page.wait_for("document.querySelectorAll('#matches li[data-item]').length == 15")
    page.run("until.value = since.value; until.dispatchEvent(new Event('change'))")
    page.wait_for("document.querySelector('#status').innerText.startsWith('Nothing to compare with')")
    page.screenshot(tmp_path / "page.png")


def test_the_very_picture_of_the_gallery_proves_nothing(page: chromium.Page, address: str, tmp_path: Path) -> None:
    page.open(f"{address}/#token={TOKEN}", width=1280, height=800)
    page.wait_for("!document.querySelector('#desk').hidden")
    picture = tmp_path / "own.png"
    picture.write_bytes(packed(paint(4, 0)))
    page.choose_file("#file", picture)
    page.wait_for("document.querySelectorAll('#matches li[data-item]').length == 20")
    first = "document.querySelector('#matches li[data-item]')"
    assert page.run(f"{first}.querySelectorAll('.marks button').length") == 0
    assert page.run(f"{first}.querySelector('.marks').innerText") == "the very picture searched with"
    assert page.run("document.querySelectorAll('#matches .marks button').length") == 38
    assert "This very picture is in the gallery too." in page.run("document.querySelector('#status').innerText")


def test_a_picture_of_something_else_is_told(page: chromium.Page, address: str, tmp_path: Path) -> None:
    page.open(f"{address}/#token={TOKEN}", width=1280, height=800)
    page.wait_for("!document.querySelector('#desk').hidden")
    colours = np.random.default_rng(0)
    pictures = [colours.integers(0, 256, (2, 2, 3)).repeat(16, 0).repeat(8, 1).astype(np.uint8) for _ in range(40)]
    picture = tmp_path / "strange.png"
    picture.write_bytes(packed(min(pictures, key=lambda p: nearest(p))))
    page.choose_file("#file", picture)
    page.wait_for("document.querySelector('#status').innerText.startsWith('Unlike every picture of this gallery')")


def nearest(picture: np.ndarray) -> float:
    """The similarity of the gallery's picture that is most alike."""
    encoder = Colours()
    vectors = encoder([picture, *(paint(i, n) for i in range(15) for n in range(4))])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return float((vectors[1:] @ vectors[0]).max())


def test_a_picture_can_be_dropped_anywhere(page: chromium.Page, address: str) -> None:
    page.open(f"{address}/#token={TOKEN}", width=1280, height=800)
    page.wait_for("!document.querySelector('#desk').hidden")
    page.run("""
        const canvas = new OffscreenCanvas(16, 32);
        canvas.getContext("2d").fillRect(0, 0, 16, 32);
        canvas.convertToBlob().then((blob) => {
          const carried = new DataTransfer();
          carried.items.add(new File([blob], "black.png", { type: "image/png" }));
          const place = document.querySelector("header");
          const drop = new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true });
          place.dispatchEvent(drop);
          window.stayed = drop.defaultPrevented;
        })""")
    page.wait_for("document.querySelectorAll('#matches li[data-item]').length == 20")
    assert page.run("window.stayed")


def test_a_file_that_is_too_large_is_not_sent(page: chromium.Page, address: str, tmp_path: Path) -> None:
    page.open(f"{address}/#token={TOKEN}", width=1280, height=800)
    page.wait_for("!document.querySelector('#desk').hidden")
    (tmp_path / "large.png").write_bytes(bytes(10_000_001))
    page.choose_file("#file", tmp_path / "large.png")
    page.wait_for("document.querySelector('#status.fault').innerText == 'Expected a file of at most 10 MB.'")


def test_the_token_can_be_typed(page: chromium.Page, address: str) -> None:
    page.open(address, width=390, height=844, mobile=True)
    page.wait_for("!document.querySelector('#entrance').hidden")
    page.run("document.querySelector('#token').value = 'wrong'; entrance.requestSubmit()")
    page.wait_for("document.querySelector('#entrance p').innerText.startsWith('Expected the server')")
    page.run(f"document.querySelector('#token').value = {TOKEN!r}; entrance.requestSubmit()")
    page.wait_for("!document.querySelector('#desk').hidden")
    page.said = [said for said in page.said if "401" not in said]


def test_a_file_that_is_no_picture_is_said_to_be_none(page: chromium.Page, address: str, tmp_path: Path) -> None:
    page.open(f"{address}/#token={TOKEN}", width=1366, height=768)
    page.wait_for("!document.querySelector('#desk').hidden")
    (tmp_path / "text.png").write_text("no picture")
    page.choose_file("#file", tmp_path / "text.png")
    page.wait_for("document.querySelector('#status.fault').innerText.startsWith('Expected a picture')")
    page.said = [said for said in page.said if "415" not in said]
