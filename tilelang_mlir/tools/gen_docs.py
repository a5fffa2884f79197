"""Generates docs/ops.md and docs/passes.md from docstrings: `python -m tilelang_mlir.tools.gen_docs`."""

from __future__ import annotations

import dataclasses
import inspect

from tilelang_mlir.passes.base import Pass


def summary(kind: type) -> str:
    """The first sentence of a class's docstring."""
    text = " ".join(inspect.getdoc(kind).split("\n\n")[0].split()) if kind.__doc__ else ""
    return text.split(". ")[0].rstrip(".") + "." if text else ""


def pass_options(kind: type[Pass]) -> list[tuple[str, str]]:
    """Option names of a pass, as spelled on the command line, with their defaults."""
    return [(field.name.replace("_", "-"), str(field.default)) for field in dataclasses.fields(kind)]
