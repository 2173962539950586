"""Stored records as a document: one self-contained HTML page, and tables fit for a paper."""

from fer_bench.report.contents import Benchmark, ReportContents, collect
from fer_bench.report.methods import REFERENCES, bibtex, methods
from fer_bench.report.page import report_page
from fer_bench.report.paper import latex_tables, markdown_tables
from fer_bench.report.readme import with_results

__all__ = [
    "REFERENCES",
    "Benchmark",
    "ReportContents",
    "bibtex",
    "collect",
    "latex_tables",
    "markdown_tables",
    "methods",
    "report_page",
    "with_results",
]
