"""Turns skips into failures when STREAMER_NO_SKIPS=1: nothing may go untested unnoticed.

A skip whose reason begins with `hardware:` stays a skip: no machine of CI has that device. So does
one that begins with `optional:`: it names a program that scripts/setup does not install.
"""

import os
from collections.abc import Generator
from typing import Any

import pytest

EXPECTED = ("hardware:", "optional:")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    if report.skipped and os.environ.get("STREAMER_NO_SKIPS") == "1":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith(EXPECTED):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped where it must run: {reason}"
