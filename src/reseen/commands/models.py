"""``reseen models``: list published models that load by name."""

from typing import Literal

from rich import box
from rich.table import Table

from reseen.errors import ReseenError
from reseen.terminal import Terminal
from reseen.zoo import DEFAULT, Entry, entries, entry, web_address


def list_models(
    name: str | None = None,
    /,
    *,
    shows: Literal["person", "vehicle", "animal", "any"] | None = None,
    family: str | None = None,
    trained_on: str | None = None,
    smaller: float | None = None,
) -> None:
    """List published models that load by name, or show one: training data, costs, licences, scores and their source.

    Nothing is fetched. A model is fetched when its name is given to another verb, and kept; for a machine without a
    network, set RESEEN_MODELS to a folder with the files.

    Args:
        name: One model; all of them if not given.
        shows: List those that tell these apart; "any" for those that were not trained for re-identification.
        family: List those of a project, such as torchreid.
        trained_on: List those whose training data has this in its name, such as msmt17.
        smaller: List those of fewer parameters than this, in millions.
    """
    console = Terminal()
    if name is not None:
        _show(console, entry(name))
        return
    listed = [
        each
        for each in entries().values()
        if (shows is None or each.shows == shows)
        and (family is None or family.lower() in each.family.lower())
        and (trained_on is None or _plain(trained_on) in _plain(each.trained_on))
        and (smaller is None or each.millions < smaller)
    ]
    if not listed:
        families = ", ".join(dict.fromkeys(each.family for each in entries().values()))
        raise ReseenError(f"expected filters that some model passes, got none; leave one out; families: {families}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("shows", "trained on"):
        table.add_column(column, overflow="fold")
    for column in ("M par.", "GMAC"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("mAP / rank 1", overflow="fold")
    table.add_column("licence", overflow="fold")
    for each in listed:
        score = _scores(each)[:1]
        table.add_row(
            each.name,
            each.shows,
            each.trained_on,
            f"{each.millions:.1f}",
            f"{each.gmacs:.2f}",
            *(score or [""]),
            each.weights_licence.partition(";")[0],
        )
    Terminal(width=max(console.width, 140)).print(table)
    console.print(
        f"{len(listed)} of {len(entries())} models; the default is {DEFAULT}. Scores are their authors', in percent."
    )
    console.print("reseen models NAME shows one, with licences and the source.")


# Of another name than the package reseen.models, and with it torch, which jsonargparse would import in looking for it.
models = list_models


def _show(console: Terminal, entry: Entry) -> None:
    console.print(console.render_str(entry.name, style="bold"))
    for title, value in (
        ("family", entry.family),
        ("shows", entry.shows),
        ("trained on", entry.trained_on),
        ("parameters", f"{entry.millions:.2f} million"),
        ("multiply-adds", f"{entry.gmacs:.2f} billion for one picture"),
        ("code licence", entry.code_licence),
        ("weights licence", entry.weights_licence),
        *(("scores", score) for score in _scores(entry)),
        ("source", entry.source),
        ("citation", entry.citation),
        *((("file", web_address(address)) for address, _, _ in entry.files)),
        *((("in a mirror", name) for _, name, _ in entry.files)),
        *((("SHA-256", digest or "not published") for _, _, digest in entry.files)),
        (
            "tried",
            "its file was loaded here" if entry.loaded else "not loaded here: its names and shapes were, made up",
        ),
        ("note", entry.note),
        ("spec", ", ".join(f"{key}: {value}" for key, value in entry.spec.items())),
    ):
        if value:
            console.print(f"  {title:<15} {value}")


def _scores(entry: Entry) -> list[str]:
    """Return the published scores, a line each."""
    return [
        f"{'–' if figure.mean_ap is None else figure.mean_ap} / {'–' if figure.rank_1 is None else figure.rank_1} "
        f"on {figure.data}"
        for figure in entry.figures
    ]


def _plain(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())
