"""The report as one self-contained page."""

from polyrot.report.html.page import page as page
