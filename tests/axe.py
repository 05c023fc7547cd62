"""axe-core in a browser under test: what it finds wrong for people with disabilities."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

AXE = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
RUN = """
const done = arguments[arguments.length - 1];
const texts = ({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`);
axe.run(document, { resultTypes: ["violations"], preload: false }).then(
  ({ violations }) => done(violations.flatMap(texts)),
  (error) => done([String(error)]),
);
"""


def violations(driver: Chrome) -> list[str]:
    """Return a line for each element of the page shown that breaks one of axe's rules."""
    driver.execute_script(_axe())
    found: list[str] = driver.execute_async_script(RUN)
    return found


@cache
def _axe() -> str:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed; `scripts/setup test` installs it")
    return AXE.read_text("utf-8")
