"""Figures, tables, notices and downloads, alike on every page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib.resources import files
from io import BytesIO
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from PIL import Image
from streamlit.elements.lib.column_types import ColumnConfig

from fer_bench import plots
from fer_bench.errors import FerBenchError
from fer_bench.formatting import as_percents, escape, safe_csv, setting, setting_name
from fer_bench.results.leaderboard.headline import Tile
from fer_bench.results.record import RunRecord
from fer_bench.results.reproduce import figure_facts
from fer_bench.ui.records import called, command, readable_runs

#: How the columns of a table look, by their names.
Columns = Mapping[str, ColumnConfig]
#: Formats of rates and of differences between them.
PERCENT, POINTS = "%.1f %%", "%+.1f"
#: What the address calls the tab that is open.
VIEW_PARAMETER = "view"
#: Width at which a figure is drawn for its file, pixels: in a column of 89 mm, letters of 13 pixels
#: are 7.3 points.
COLUMN_WIDTH = 450
#: Of Plotly's tool bar nothing but saving is left.
MODE_BAR_REMOVED = [
    "zoom2d", "pan2d", "select2d", "lasso2d",
    "zoomIn2d", "zoomOut2d", "autoScale2d", "resetScale2d",
]  # fmt: skip
#: The light theme's primary colour, for grounds under white words.
PRIMARY = "#3e56c4"
TEXT_COLOURS = {"light": "#0f1216", "dark": "#e8eaef"}
#: Of the words of charts: in files, and the mark by which the page gives them its own text's.
INK = "rgb(15, 18, 22)"


def set_colours() -> None:
    """Words keep 4.5 : 1 where the theme cannot say so: on coloured grounds, and in code.

    Names are shown whole: in tiles and in boxes they go on in the next line.
    """
    grounds = '[data-tag], button[kind^="primary"]:not(:disabled)'
    rules = (
        f"{grounds} {{ background-color: {PRIMARY} !important; }}",
        'code, [data-testid="stCode"] span { color: inherit !important; }',
        "[data-tag] { height: auto !important; min-height: 1.75rem; }",
        "[data-tag] > span { line-height: 1.05; white-space: normal; }",
        # At once where the visitor changes the theme, which the server does not hear of.
        f'.js-plotly-plot text[style*="{INK}"] {{ fill: currentColor !important; }}',
        '[data-testid="stMetricLabel"] * { white-space: normal !important; }',
        '[data-testid="stFileUploader"] section * { white-space: normal !important; }',
        # A box of one line cannot break a name; on a phone the longest lacks half a letter.
        '@media (max-width: 640px) { [data-testid="stSelectbox"] input '
        "{ letter-spacing: -0.015em; } "
        # Columns that stand below each other are no further apart than all else.
        '[data-testid="stHorizontalBlock"] { row-gap: 1rem; } }',
    )
    st.html(f"<style>{' '.join(rules)}</style>")


def text_colour() -> str | None:
    """Of words on a canvas, in the theme that the visitor sees; None where it is not known yet."""
    return TEXT_COLOURS.get(st.context.theme.type or "")


def use_style(file: str) -> None:
    """Adds a style sheet of this package to the page."""
    style = files("fer_bench.ui").joinpath(file).read_text("utf-8")
    st.html(f"<style>{style}</style>")


def run_script(file: str) -> None:
    """Runs a script of this package in the visitor's browser."""
    script = files("fer_bench.ui").joinpath(file).read_text(encoding="utf-8")
    st.html(f"<script>{script}</script>", unsafe_allow_javascript=True)


def show_error(error: FerBenchError) -> None:
    """An error's sentence; never a traceback."""
    st.error(escape(error), icon=":material/error:")


def empty_state(title: str, hint: str, to_copy: str | None = None) -> None:
    """A page with nothing to show: what is missing and what to do about it."""
    with st.container(border=True):
        st.markdown(f"**{title}**  \n{hint}")
        if to_copy:
            st.code(to_copy, language="bash", wrap_lines=True)


def no_results() -> None:
    """The empty state of every page that reads records."""
    empty_state(
        "No runs yet",
        "Run the demo (synthetic faces, a few minutes), then reload this page.",
        command("run benchmarks/specs/demo.yaml --data synthetic"),
    )


def tiles(figures: Sequence[Tile]) -> None:
    """Figures in boxes that fill a row, or several on narrow screens."""
    with st.container(horizontal=True, gap="small"):
        for tile in figures:
            st.metric(
                tile.name,
                tile.value,
                delta=tile.below,
                delta_color="off",
                delta_arrow="off",
                help=tile.explanation,
                border=True,
                width="stretch",
                height="stretch",
            )


def show_views(views: Mapping[str, Callable[[], object]]) -> None:
    """A tab for each; only the one that is open is made, and the address names it."""
    if VIEW_PARAMETER in st.session_state and st.session_state[VIEW_PARAMETER] not in views:
        # Another page's: its name would go into the address, a step that Back has to take.
        del st.session_state[VIEW_PARAMETER]
    tabs = st.tabs(list(views), key=VIEW_PARAMETER, bind="query-params")
    for tab, show in zip(tabs, views.values(), strict=True):
        if tab.open:
            with tab:
                show()


def badges(record: RunRecord) -> None:
    """A run's status unless it is done, and the reasons, if any, that keep it out of rankings."""
    if record.status == "done" and record.comparable:
        return
    with st.container(horizontal=True, gap="small"):
        if record.status != "done":
            st.badge(record.status, color="red" if record.status == "failed" else "blue")
        for reason in record.not_comparable_because:
            st.badge(f"not comparable: {escape(reason)}", color="orange")


def chart(
    figure: go.Figure,
    key: str,
    title: str,
    runs: Iterable[str] = (),
    *,
    command: str = "",
    n: str = "",
    protocol: str = "",
    selectable: bool = False,
) -> str | None:
    """A figure in the page's width and theme, with buttons that save it as SVG or PNG.

    Args:
        key: its widget's key, and the name of the saved file.
        title: its name, for screen readers and in the saved file.
        runs: those that it shows, `dataset/run` each; named in the saved file.
        command, n, protocol: what the saved file says too, as `results.reproduce.figure_facts`.
        selectable: whether a click on a point or bar is answered.

    Returns:
        The id of the clicked point, the last of its `customdata`; None without a click.
    """
    figure.update_layout(font_color=INK, legend_font_color=INK, hoverlabel_font_color=INK)
    figure.update_xaxes(tickfont_color=INK, title_font_color=INK)
    figure.update_yaxes(tickfont_color=INK, title_font_color=INK)
    config = {
        "displaylogo": False,
        "displayNotifier": False,  # the browser says what it saves
        "modeBarButtonsToRemove": MODE_BAR_REMOVED,
        "toImageButtonOptions": {"format": "svg", "filename": key, "width": COLUMN_WIDTH},
    }
    known = readable_runs()
    shown = [known[run] for run in runs if run in known]
    figure.update_layout(meta=figure_facts(title, shown, command, n=n, protocol=protocol))
    event = st.plotly_chart(
        figure,
        width="stretch",
        theme="streamlit",
        key=key,
        config=config,
        alt=f"{title}. {plots.in_words(figure)}",
        on_select="rerun" if selectable else "ignore",
        selection_mode="points",
    )
    points = event.selection.points if selectable and hasattr(event, "selection") else []
    answer = points[0].get("customdata") if points else None  # marks next to the runs have none
    return str(answer[-1]) if answer else None


def run_chart(
    figure: go.Figure, key: str, title: str, run: str, *, n: str = "", selectable: bool = False
) -> str | None:
    """A `chart` about one run, `dataset/run`, whose figures a command writes as files."""
    words = command(f"results --figures {run}")
    name = f"{title}, {called(run)}"
    return chart(figure, key, name, [run], command=words, n=n, selectable=selectable)


def gallery(pictures: Sequence[tuple[Image.Image | bytes, str | None]], width: int) -> None:
    """Pictures, or the content of their files, with captions (Markdown) in rows that wrap."""
    with st.container(horizontal=True, gap="small"):
        for picture, caption in pictures:
            image = Image.open(BytesIO(picture)) if isinstance(picture, bytes) else picture.copy()
            image.thumbnail((width, image.height))  # Streamlit leaves a strip no height at all
            words = re.sub(r"[*\\]|  \n", " ", caption or "a face of the data set").strip()
            st.image(image, caption=caption, width=width, alt=words)


def number(
    name: str,
    form: str,
    explanation: str | None = None,
    width: Literal["small", "medium", "large"] | int | None = None,
) -> ColumnConfig:
    """How a column of numbers looks; one of rates writes percents, which tables make of them."""
    return st.column_config.NumberColumn(name, format=form, help=explanation, width=width)


#: How each emotion's rates look.
PER_CLASS: Columns = {
    "emotion": st.column_config.TextColumn("Emotion"),
    "precision": number("Precision", PERCENT),
    "recall": number("Recall", PERCENT),
    "f1": number("F1", PERCENT),
    "support": number("Images", "localized"),
}


def in_percents(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """A table of rates, and of their differences, as the columns write them that write percents."""
    looks: Mapping[str, Any] = columns
    forms = {name: str(look["type_config"].get("format")) for name, look in looks.items()}
    rates = [name for name, form in forms.items() if "%%" in form or form.startswith("%+")]
    return as_percents(table, rates)


def data_table(table: pd.DataFrame, columns: Columns, key: str, file: str | None = None) -> None:
    """The columns of a table that have a look, and the whole of it for download.

    Args:
        table: rates in [0, 1].
        columns: those to show, in reading order; what the table lacks is left out.
        file: the download's name; without it there is none.
    """
    st.dataframe(
        in_percents(table, columns),
        column_order=[name for name in columns if name in table],
        column_config=columns,
        hide_index=True,
        width="stretch",
        placeholder="",
        key=key,
    )
    if file:
        download_csv(table, file, f"{key}-csv")


def download_csv(frame: pd.DataFrame, file_name: str, key: str) -> None:
    """A button that saves the table; cells that look like formulae are defused."""
    st.download_button(
        "Download CSV",
        partial(safe_csv, frame),  # made when asked for
        file_name,
        "text/csv",
        key=key,
        icon=":material/download:",
        on_click="ignore",
    )


def value_table(values: Mapping[str, object], meanings: Mapping[str, str] | None = None) -> None:
    """Names and values as a table in words; nested mappings as `outer.inner`.

    Args:
        meanings: what settings mean, by their keys; a third column.
    """
    flat = pd.json_normalize(dict(values)).astype(object).iloc[0] if values else pd.Series()
    rows = pd.DataFrame(
        {"Setting": map(setting_name, flat.index), "Value": [setting(v) for v in flat]}
    )
    if meanings:
        rows["Meaning"] = [meanings.get(key, "") for key in flat.index]
    text_table(rows)


def package_table(packages: Mapping[str, str]) -> None:
    """Packages by their own names, with their versions."""
    text_table(pd.DataFrame(list(packages.items()), columns=["Package", "Version"]))


def text_table(rows: pd.DataFrame) -> None:
    """A table of texts: its cells break into lines, so all of them shows on a phone too."""
    st.table(rows.map(escape).rename(columns=escape), border="horizontal")
