"""Pipeline texts: parsing, printing, and what is said about wrong ones."""

from __future__ import annotations

import pytest

from tilelang_mlir.errors import TileValueError
from tilelang_mlir.passes import registry
from tilelang_mlir.passes.pipeline_text import parse_pipeline, print_pipeline
from tilelang_mlir.passes.testing.mark import Mark


@pytest.mark.parametrize("text", [
    "builtin.module(canonicalize,test-mark{op=arith.muli value=3},gpu.module(convert-nvvm-to-llvm))",
    "builtin.module(test-mark,func.func(canonicalize{max-iterations=3},cse))",
    "builtin.module()",
])  # fmt: skip
def test_round_trip(text: str) -> None:
    assert print_pipeline(parse_pipeline(text)) == text


def test_mixes_ours_and_upstream() -> None:
    assert parse_pipeline("canonicalize, test-mark{value=7 target}") == ["canonicalize", Mark(value=7, target=True)]


@pytest.mark.parametrize(("text", "message"), [
    ("test-mrak", r"unknown pass 'test-mrak'(.|\n)*did you mean test-mark"),
    ("canonicalise", r"unknown pass 'canonicalise'(.|\n)*did you mean canonicalize"),
    ("test-mark{values=1}", r"has no option 'values'(.|\n)*op \(default arith.addi\), value \(default 1\)"),
    ("test-mark{value=x}", "option 'value' of pass 'test-mark' is 'x', expected an integer"),
    ("test-mark{target=maybe}", "is 'maybe', expected true or false"),
    ("canonicalize{foo=1}", "no such option foo"),
    ("func.func(test-mark)", "runs on the module and cannot be nested"),
    ("canonicalize(", r"missing '\)' at the end"),
    ("canonicalize)", r"unmatched '\)' at position 12"),
])  # fmt: skip
def test_errors(text: str, message: str) -> None:
    with pytest.raises(TileValueError, match=message):
        parse_pipeline(text)


def test_a_name_registered_twice() -> None:
    with pytest.raises(TileValueError, match="registered twice: a:A and b:B"):
        registry.index([("x", "a:A"), ("x", "b:B")])


def test_listing_imports_nothing() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from tilelang_mlir.passes import registry; names = registry.names(); assert 'test-mark' in names; "
        "assert not [m for m in sys.modules if m.startswith('tilelang_mlir.passes.testing')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
