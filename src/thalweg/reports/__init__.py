"""Reports and plots of records: one page a run, charts and tables for notebooks."""

from thalweg.reports.page import report
from thalweg.reports.plot import Plot, plot
from thalweg.reports.tables import constants_html, plan_html, solution_html

__all__ = ["Plot", "constants_html", "plan_html", "plot", "report", "solution_html"]
