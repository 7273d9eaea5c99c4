"""What a run of claims wants before it collects them: for `conftest.py`, and for the wheel's."""

import os

import pytest


def prepare(config: pytest.Config) -> None:
    """Let workers share the cores; refuse a suite that does not exist before anything runs."""
    if hasattr(config, "workerinput"):
        # With `-n 2` the processes share the cores: threads that spin while they wait made it
        # four times slower.  Read when torch is loaded, which is later; alters no number.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    chosen = config.getoption("--suite")
    if not chosen:
        return
    from polyrot.report.files import report_folder
    from polyrot.suites.loading import check_suite
    from polyrot.suites.names import suite_label

    reports: dict[str, str] = {}
    try:
        for name in chosen:
            check_suite(name)
            other = reports.setdefault(report_folder(suite_label(name)), name)
            if other != name:
                raise ValueError(f"the reports of {other} and {name} are one folder; run one alone")
    except ValueError as error:
        raise pytest.UsageError(f"--suite: {error}") from None
