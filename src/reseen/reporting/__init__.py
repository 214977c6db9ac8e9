"""HTML reports, comparisons and attention maps, each one self-contained page."""

from reseen.model_evaluation import Outcome
from reseen.reporting.attention_page import write_attention
from reseen.reporting.axes import Axis
from reseen.reporting.comparison import write_comparison
from reseen.reporting.grad_cam import attention
from reseen.reporting.heat_maps import heat_map
from reseen.reporting.individuals_page import group_name, write_individuals
from reseen.reporting.lists import ranked_pictures, render_lists
from reseen.reporting.page import Repeated, Section, charts, facts, table, write_page
from reseen.reporting.pictures import Shot, Thumbnail
from reseen.reporting.plots import Series, bar_chart, histogram, line_chart
from reseen.reporting.report import write_report
from reseen.reporting.scores import setting_columns, setting_rows

__all__ = [
    "Axis",
    "Outcome",
    "Repeated",
    "Section",
    "Series",
    "Shot",
    "Thumbnail",
    "attention",
    "bar_chart",
    "charts",
    "facts",
    "group_name",
    "heat_map",
    "histogram",
    "line_chart",
    "ranked_pictures",
    "render_lists",
    "setting_columns",
    "setting_rows",
    "table",
    "write_attention",
    "write_comparison",
    "write_individuals",
    "write_page",
    "write_report",
]
