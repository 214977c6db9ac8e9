"""The page of a study: what was found, with tables and figures, and the commands that find it again.

Made of the parts of :mod:`reseen.reporting` (``Section``, ``table``, ``charts``, ``line_chart``, ``bar_chart`` ...).
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from reseen.files import write_atomically
from reseen.reporting import Section, facts, write_page

logger = logging.getLogger(__name__)


def write_study(
    out: Path,
    title: str,
    *,
    name: str,
    sections: Sequence[Section | None],
    settings: Mapping[str, Any],
    lead: str = "",
    commands: Sequence[str] = (),
) -> Path:
    """Write a study's page, ``out/study.html``, and the settings that repeat it, ``out/study.yaml``.

    Args:
        out: The study's folder.
        title: What was studied on which data.
        name: As in ``reseen study NAME``.
        sections: What was found; None is left out.
        settings: All of the study's arguments as plain values.
        lead: What the study asks, in a sentence or two.
        commands: Of its parts, such as a training each.

    Returns:
        The page.
    """
    text = yaml.safe_dump(dict(settings), sort_keys=False)
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "study.yaml", text.encode())
    again = f"reseen study {name} --config {shlex.quote(str(out / 'study.yaml'))} --out {shlex.quote(str(out))}"
    files = {"study.yaml: every setting": text}
    if commands:
        files[f"the {len(commands)} commands it runs"] = "\n".join(commands)
    said = "The first command makes this page; started again, it does only what is missing. Every run is a folder."
    body = console(again) + facts({}, files=files)
    page = write_page(
        out / "study.html",
        title,
        sections=[*sections, Section("Commands", body, said)],
        eyebrow=f"reseen study {name}",
        lead=lead,
    )
    logger.info("wrote %s", page)
    return page


def console(*lines: str) -> Markup:
    """Return lines as they are typed."""
    return Markup("<pre><code>{}</code></pre>").format("\n".join(lines))


def downloads(*files: str) -> Markup:
    """Return links to files beside the page."""
    links = Markup(", ").join(Markup('<a href="{0}">{0}</a>').format(file) for file in files)
    return Markup("<p>Also as {}.</p>").format(links)
