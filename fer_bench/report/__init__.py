"""Stored records as a document: one self-contained HTML page, and tables fit for a paper."""

from fer_bench.report.contents import Benchmark, Contents, collect
from fer_bench.report.page import report_page
from fer_bench.report.paper import latex_tables, markdown_tables

__all__ = [
    "Benchmark",
    "Contents",
    "collect",
    "latex_tables",
    "markdown_tables",
    "report_page",
]
