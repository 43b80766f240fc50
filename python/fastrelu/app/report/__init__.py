# SPDX-License-Identifier: BSD-3-Clause
"""What a run leaves to be looked at: the report, pictures, a model's tables."""

from fastrelu.app.report.content import Evaluated, ReportContent
from fastrelu.app.report.describe import describe_model
from fastrelu.app.report.kept import PREDICTIONS, predictions_bytes
from fastrelu.app.report.run_pictures import plot_run
from fastrelu.app.report.summary import summarize_columns
from fastrelu.app.report.write import report_html, write_report

__all__ = [
    "PREDICTIONS",
    "Evaluated",
    "ReportContent",
    "describe_model",
    "plot_run",
    "predictions_bytes",
    "report_html",
    "summarize_columns",
    "write_report",
]
