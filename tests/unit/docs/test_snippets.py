"""Every code block of README.md and docs/ runs, in the simulator, and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.util import snippets

PAGES = [snippets.ROOT / "README.md", *sorted((snippets.ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", [page for page in PAGES if snippets.blocks(page)], ids=lambda page: page.stem)
def test_page(page: Path, tmp_path: Path) -> None:
    snippets.check(page, tmp_path)


def _page(tmp_path: Path, text: str) -> Path:
    page = tmp_path / "page.md"
    page.write_text(text)
    return page


def test_outputs_are_compared(tmp_path: Path) -> None:
    page = _page(tmp_path, "```python\nprint(1 + 1)\n```\n\n```text\n3\n```\n")
    with pytest.raises(snippets.SnippetError, match="page.md:2 prints\n2\n"):
        snippets.check(page, tmp_path)
    assert snippets.update(page) == 1
    snippets.check(page, tmp_path)


def test_dots_stand_for_anything(tmp_path: Path) -> None:
    page = _page(tmp_path, "```python\nprint('a\\nb\\nc 12 ms')\n```\n```text\na\n...\nc ... ms\n```\n")
    snippets.check(page, tmp_path)


def test_announced_errors_must_come(tmp_path: Path) -> None:
    page = _page(tmp_path, "```python raises=RaceError\nx = 1\n```\n")
    with pytest.raises(snippets.SnippetError, match="did not raise RaceError"):
        snippets.check(page, tmp_path)


def test_blocks_share_names_and_text_alone_is_no_output(tmp_path: Path) -> None:
    page = _page(tmp_path, "```python\nx = 1\n```\nwords\n```text\n5\n```\n```python\nassert x == 1\n```\n")
    snippets.check(page, tmp_path)


def test_shell_blocks_run_tl_opt(tmp_path: Path) -> None:
    page = _page(tmp_path, "```sh\ntl-opt --list-passes | grep -c '^--cse' || true\n```\n```text\n0\n```\n")
    snippets.check(page, tmp_path)
