"""Numbers in, one page of HTML out: for people, without a network, a script or another file."""

from thresher.report.content import Candidate, Decision, Mistake, Report, Reviewed, Slice, System
from thresher.report.page import save_figure, write_report

__all__ = [
    "Candidate",
    "Decision",
    "Mistake",
    "Report",
    "Reviewed",
    "Slice",
    "System",
    "save_figure",
    "write_report",
]
