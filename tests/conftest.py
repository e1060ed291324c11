"""What holds for every test: where ../shared is beside the checkout, a test that needs it may not skip."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("wakeline", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("wakeline")

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A check that only ever skips is no check: with the folder there, a skip for want of it is a failure."""
    report = yield
    if report.skipped and SHARED.is_dir() and "shared" in str(report.longrepr):
        report.outcome = "failed"
    return report
