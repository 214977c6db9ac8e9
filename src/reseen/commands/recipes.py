"""``reseen recipes``: list the recipes with their published figures and costs."""

from rich import box
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table

from reseen.errors import RunError
from reseen.models import Embedder, complexity
from reseen.recipes import Published, about, names, path_of, published, settings_of
from reseen.recipes.check import compared_settings
from reseen.recipes.costs import Cost, cost_of, measured_costs, spec_of
from reseen.terminal import Terminal


def recipes(
    name: str | None = None,
    /,
    *,
    data: str | None = None,
    teraflops: float = 10.0,
    speed: bool = False,
    check: bool = False,
) -> None:
    """List the recipes, or show one: published figures, costs and settings.

    A recipe is a file of settings: `reseen train --config NAME --data.root X --out Y`, and any flag changes it.
    Parameters are counted; memory and GPU hours are estimates, for one GPU, from the operations and the values kept.

    Args:
        name: One recipe, such as market1501/adasp_mgn; all of them if not given.
        data: List those of one data set, such as market1501.
        teraflops: Speed of the GPU in 10^12 operations a second, for the estimate of hours.
        speed: Measure how many pictures a second the network embeds on this machine, too.
        check: Compare with the published settings instead, and say what differs and why.
    """
    console = Terminal()
    if check:
        _check(console, [name] if name is not None else [n for n in names() if "/" in n and n.startswith(data or "")])
        return
    if name is not None:
        _show(console, name, teraflops=teraflops, speed=speed)
        return
    groups: dict[str, list[str]] = {}
    for recipe in names():
        groups.setdefault(recipe.rpartition("/")[0], []).append(recipe)
    if data is not None and data not in groups:
        raise RunError(f"expected a data set among {', '.join(filter(None, groups))}, got {data!r}")
    for group, members in groups.items():
        if data in (None, group):
            console.print(_recipe_table(group, members, teraflops, width=min(98, console.width)))
    console.print(
        f"Scores are the papers', in percent; a slash parts the tests of a row. GB and hours are estimates: one GPU, "
        f"{teraflops:g} teraflops kept up.\n`reseen recipes NAME` shows one, `--data NAME` those of a data set.",
        style="dim",
        soft_wrap=False,
    )


def _check(console: Terminal, recipes: list[str]) -> None:
    """Print what differs from the published settings, equal differences of several recipes together.

    Raises:
        RunError: Something differs that the table gives no reason for, or no longer differs.
    """
    settings = [setting for recipe in recipes for setting in compared_settings(recipe)]
    grouped: dict[tuple[str, str, str, str, str], list[str]] = {}
    for setting in settings:
        if setting.differs:
            facts = (setting.name, str(setting.published), str(setting.here), setting.source, setting.why)
            grouped.setdefault(facts, []).append(setting.recipe)
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("setting", "published", "here", "source", "why", "recipes"):
        table.add_column(column, overflow="fold")
    for facts, recipes_of in grouped.items():
        table.add_row(*facts[:4], facts[4] or "NOT SAID", ", ".join(recipes_of))
    if grouped:
        console.print(table)
    differing = sum(setting.differs for setting in settings)
    console.print(
        f"{len(settings)} published settings of {len(recipes)} recipes: {len(settings) - differing} are the same, "
        f"{differing} differ."
    )
    wrong = [f"{setting.recipe} {setting.name}" for setting in settings if not setting.accounted]
    if wrong:
        raise RunError(
            f"expected a reason in published_settings.csv where a recipe differs, and only there, "
            f"got {len(wrong)} otherwise: {', '.join(wrong[:5])}"
        )


def _recipe_table(group: str, members: list[str], teraflops: float, *, width: int) -> Table:
    table = Table(
        title=group or "of no paper",
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        width=width,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("recipe", no_wrap=True)
    table.add_column("published as", ratio=1, overflow="fold")
    for column in ("mAP", "rank 1", "M par.", "GB", "hours"):
        table.add_column(column, justify="right", no_wrap=True)
    for member in members:
        rows, cost = _headline(member), cost_of(settings_of(member))
        source = rows[0].source if rows else ""
        scores = [
            "/".join(f"{score:.1f}" for row in rows if (score := getattr(row, key))) for key in ("mean_ap", "rank_1")
        ]
        short = member.rpartition("/")[2]
        table.add_row(short, source, *scores, _millions(cost), f"{cost.memory / 1e9:.1f}", _hours(cost, teraflops))
    return table


def _headline(recipe: str) -> list[Published]:
    """Return the rows that a recipe repeats as it is, one of each test; where each changes it, the best of them."""
    rows = [row for row in published() if row.recipe == recipe]
    best = sorted(rows, key=lambda row: row.mean_ap or 0.0)[-1:]
    return list({row.data: row for row in [row for row in rows if not row.changes] or best}.values())


def _show(console: Terminal, name: str, *, teraflops: float, speed: bool) -> None:
    settings, path = settings_of(name), path_of(name)
    cost = cost_of(settings)
    console.print(console.render_str(name, style="bold"), f" {path}")
    console.print(Padding(about(name), (1, 2)))
    rows = [row for row in published() if row.recipe == name]
    if rows:
        table = Table(box=box.SIMPLE_HEAD)
        for column in ("published as", "on", "with"):
            table.add_column(column, overflow="fold")
        for column in ("mAP", "rank 1", "rank 5"):
            table.add_column(column, justify="right")
        for row in rows:
            scores = [f"{score:.1f}" if score else "" for score in (row.mean_ap, row.rank_1, row.rank_5)]
            table.add_row(row.source, row.data, row.changes, *scores)
        console.print(table)
    console.print(f"  parameters   {_millions(cost)} million")
    console.print(f"  operations   {cost.network.flops / 2e9:.2f} billion multiply-adds for one picture")
    console.print(f"  memory       {cost.memory / 1e9:.1f} GB to train on one GPU, an estimate")
    console.print(f"  GPU hours    {_hours(cost, teraflops)} at {teraflops:g} teraflops, an estimate")
    for seen in measured_costs(name):
        hours = seen.hours(settings)
        console.print(
            f"  measured     {seen.pictures_per_second:,.0f} pictures a second, {seen.memory / 1e9:.1f} GB"
            f"{'' if hours is None else f', {hours:.1f} hours'}: {seen.hardware}, {seen.precision}"
        )
    if speed:
        measured = complexity(Embedder(spec_of(settings), pretrained=False), batch=8)
        console.print(
            f"  speed here   {measured.images_per_second:.1f} pictures a second embedded, {measured.batch} at a time"
        )
    text = path.read_text(encoding="utf-8").partition("\ndata:")
    console.print(
        Padding(Syntax((text[1] + text[2]).strip(), "yaml", background_color="default", word_wrap=True), (1, 2))
    )
    root = "" if cost.flops is None else " --data.root FOLDER"
    console.print(f"reseen train --config {name}{root} --out runs/{name.replace('/', '_')}")


def _millions(cost: Cost) -> str:
    return f"{cost.network.parameters / 1e6:.1f}"


def _hours(cost: Cost, teraflops: float) -> str:
    hours = cost.hours(teraflops)
    return "" if hours is None else f"{hours:.1f}"
