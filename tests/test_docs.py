"""The documents name what is there: imports of their Python, verbs and flags of their commands, files, links."""

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from reseen.cli import COMMANDS
from reseen.cli.loss_flags import loss_flags
from reseen.cli.mistakes import flags_of
from reseen.cli.parser import verb

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMON = {"help", "config", "trust", "unchecked", "scale", "max_pixels", "print_config"}


def blocks(page: Path, *kinds: str) -> list[str]:
    return re.findall(rf"^```(?:{'|'.join(kinds)})\n(.*?)^```", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return what a page's headings are linked by, as the site and GitHub name them."""
    included = re.match(r'--8<-- "(.*)"', page.read_text("utf-8"))
    text = (ROOT / included[1] if included else page).read_text("utf-8")
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", page.read_text("utf-8")):
        leads_to = page.parent / target if target else page
        assert leads_to.exists(), target
        assert not anchor or re.sub("-+", "-", anchor) in {re.sub("-+", "-", each) for each in anchors(leads_to)}, (
            anchor
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imports_of_a_page_are_there(page: Path) -> None:
    for block in blocks(page, "python"):
        if block.startswith("--8<--"):
            assert all((ROOT / line).is_file() for line in block.split() if line != "--8<--")
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "reseen":
                try:
                    module = importlib.import_module(str(node.module))
                except ModuleNotFoundError as error:
                    pytest.skip(f"{error}")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_verbs_and_flags_of_a_page_are_there(page: Path) -> None:
    for block in blocks(page, "sh", "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            if not line.startswith("reseen ") or line.startswith(("reseen --", "reseen VERB", "reseen study")):
                continue
            try:
                name, *words = shlex.split(line, comments=True)[1:]
            except ValueError:  # a quoted argument over several lines
                continue
            assert name in COMMANDS, line
            known = {flag.removeprefix("--").partition(".")[0] for flag in flags_of((verb(name), loss_flags))} | COMMON
            given = {re.split(r"[.=+]", word[2:])[0] for word in words if word.startswith("--")}
            assert given <= known, line
