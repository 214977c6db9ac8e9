"""Reads pages as a browser would, and refuses what a browser would have to mend."""

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "img", "br", "link", "input", "hr"}
DRAWN = {"path", "circle", "rect"}


@dataclass
class Figure:
    kinds: set[str]
    alt: str = ""
    picture: str | None = None
    text: str = ""


class Page(HTMLParser):
    """What is on a page: its words, its pictures, and everything that it would fetch."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.headings: list[str] = []
        self.figures: list[Figure] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.unnamed: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.tags.append(tag)
        self.fetched += [v for n, v in values.items() if n in ("src", "href", "data", "srcset", "action")]
        if (tag == "img" and not values.get("alt")) or (values.get("role") == "img" and not values.get("aria-label")):
            self.unnamed.append(tag)
        if tag == "figure":
            self.figures.append(Figure(set(values.get("class", "").split())))
        if tag == "img":
            self.figures[-1].alt, self.figures[-1].picture = values["alt"], values["src"]
        if values.get("role") == "img" and self.figures and "figure" in self.open:
            self.figures[-1].alt = values["aria-label"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN, f"<{tag}/> is no element that closes itself"
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        opened = self.open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"

    def handle_data(self, data: str) -> None:
        if "style" in self.open or not data.strip():
            return
        self.words.append(data.strip())
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data.strip())
        if "figure" in self.open:
            self.figures[-1].text += f"{data.strip()} "

    @property
    def shots(self) -> list[Figure]:
        return [f for f in self.figures if "shot" in f.kinds]

    @property
    def charts(self) -> list[Figure]:
        return [f for f in self.figures if "chart" in f.kinds]

    def assert_self_contained(self) -> None:
        assert all(value.startswith("data:image/jpeg;base64,") for value in self.fetched), self.fetched[:5]
        assert "script" not in self.tags
        assert "link" not in self.tags
        style = self.source.split("<style>")[1].split("</style>")[0]
        assert "url(" not in style
        assert "@import" not in style
        assert self.unnamed == []
