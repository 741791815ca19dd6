"""Tests that need more than Python brings, a browser, say: skipped without it, but never in CI."""

import os

import pytest


def needs(what: str, found: object) -> None:
    """Skip the test, and say so, unless something was found; in CI that is a failure.

    Args:
        what: What it is, and how to install it.
        found: Whether it is there.
    """
    if found:
        return
    if os.environ.get("CI"):
        pytest.fail(f"CI has to have {what}; .ci/run installs it")
    pytest.skip(f"needs {what}")
