"""Help texts, documents and the page use the words of the glossary in ARCHITECTURE.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from streamer.cli.app import app
from streamer.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[3]
PAGES = ROOT / "streamer"
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(PAGES.glob("*/static/*.html")),
    *sorted(PAGES.glob("*/static/*.js")),
]
REPLACED = {
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bpictures?\b": "frame, image",
    r"\bspoil(s|t|ed)?\b": "corrupt",
    r"\b(bury|buried|buries)\b": "dead-letter",
    r"\bpatiently\b": "wait",
    r"\bcarv(e|es|ed|ing)\b": "split",
    r"\bledger\b": "in-flight windows",
    r"\bheard of\b": "no data from",
    r"\bnobody to talk to\b": "no broker",
    r"\bin vain\b": "without success",
}
"""Words that the glossary replaced, and the words to use."""


def help_texts() -> Iterator[tuple[str, str]]:
    """Yield the path and the help text of every command."""
    assert COMMANDS

    def walk(command: Any, path: str) -> Iterator[tuple[str, str]]:
        context = click.Context(command, info_name=path)
        yield path, command.get_help(context)
        if hasattr(command, "commands"):
            for name, child in command.commands.items():
                yield from walk(child, f"{path} {name}")

    yield from walk(typer.main.get_command(app), "streamer")


def old_words(text: str) -> list[str]:
    """Return each replaced word in a text, with the word to use."""
    return [
        f"{match[0]!r}: use {instead!r}"
        for pattern, instead in REPLACED.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]


def test_every_commands_help_uses_the_glossary(capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for path, text in help_texts():
        paths.append(path)
        assert old_words(text + capsys.readouterr().out) == [], path
    assert {"streamer run", "streamer config show", "streamer dead-letter retry"} <= set(paths)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_documents_and_the_page_use_the_glossary(path: Path) -> None:
    assert old_words(path.read_text("utf-8")) == []


def test_a_replaced_word_is_found() -> None:
    assert old_words("Look at the ledger.") == ["'ledger': use 'in-flight windows'"]
