"""The report of a run: one page that needs nothing but a browser."""

from tagweave.report.build import write_report
from tagweave.report.compare import write_comparison

__all__ = ["write_comparison", "write_report"]
