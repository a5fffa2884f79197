"""docs/language.md shows the whole language."""

from __future__ import annotations

import tilelang_mlir.language as T
from tilelang_mlir.language import missing
from tilelang_mlir.tools import language_page


def test_every_name_is_in_a_family() -> None:
    assert language_page.names() == set(T.__all__)


def test_entries_show_signatures_and_aliases() -> None:
    page = language_page.language_page("note")
    assert "\n* `T.serial(start, stop=None, step=None, *, annotations=None)` (also `T.Serial`): A " in page
    assert "policy=GemmWarpPolicy.Square" in page
    assert "mask=0xffffffff" in page


def test_names_out_of_scope_are_listed_and_not_in_the_language() -> None:
    page = language_page.language_page("note").partition("## Out of scope")[2]
    for name in missing.out_of_scope():
        assert f"`T.{name}`" in page and name not in T.__all__
