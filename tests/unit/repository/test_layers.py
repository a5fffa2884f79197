"""Imports respect the layers of docs/architecture.md; environment and architecture names stay where they belong."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LEAVES = {"collection", "errors", "target", "knobs", "dtypes", "mlir", "launch_plan", "isa"}
# What each part may import besides itself and the leaves; parts that are not named may import everything.
ALLOWED: dict[str, set[str]] = {
    **{leaf: set() for leaf in LEAVES},
    "dialect": set(),
    "passes": {"dialect"},
    "runtime": set(),
    "simulator": set(),
    "reference": {"dialect"},
    "frontend": {"dialect", "language"},
}
SOURCES = [
    path
    for folder in ("tilelang_mlir", "dialect", "passes", "runtime")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not any(parent.is_symlink() for parent in path.parents)
]


def _part(path: Path) -> str:
    """The part of the package a file belongs to: `dialect`, `knobs`, `reference`, ..."""
    parts = path.relative_to(ROOT).parts
    name = parts[1] if parts[0] == "tilelang_mlir" else parts[0]
    return name.removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and part of every import of this package, relative ones resolved."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
                names = [".".join(part for part in base if part)]
                if names == [""]:
                    names = [alias.name for alias in node.names]
                yield from ((node.lineno, name.removeprefix("tilelang_mlir.").split(".")[0]) for name in names)
            elif node.module == "tilelang_mlir":
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif (node.module or "").startswith("tilelang_mlir."):
                yield node.lineno, str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("tilelang_mlir."):
                    yield node.lineno, alias.name.split(".")[1]


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_layers(part: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {other}"
        for path in SOURCES
        if _part(path) == part
        for line, other in _imports(path)
        if other not in LEAVES | ALLOWED[part] | {part}
    ]
    assert not wrong, "\n".join(wrong)


def test_siblings_import_each_other_relatively() -> None:
    """A file has two paths through the links; an absolute import would make two modules of one."""
    wrong = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        if _part(path) in ("dialect", "passes", "runtime")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.match(r"\s*(from|import) tilelang_mlir\.(dialect|passes|runtime)\b", line)
    ]
    assert not wrong, "\n".join(wrong)


def _code_strings(path: Path) -> Iterator[tuple[int, str]]:
    """String constants and names of the code, without docstrings."""
    tree = ast.parse(path.read_text())
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


# Tables of targets, and the folders of the vendors. `tools/` has the generators of pages that list targets.
KNOWS_ARCHITECTURES = (
    *("tilelang_mlir/target.py", "compiler/toolchain/arch.py", "isa/nvidia", "isa/amd"),
    *("passes/nvidia", "passes/amd", "runtime/cuda", "runtime/hip"),
    *("tools/surface_page.py", "tools/surface_examples.py"),
)


def test_features_are_asked_for_not_numbers() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in SOURCES
        if not any(known in str(path.relative_to(ROOT)) for known in KNOWS_ARCHITECTURES)
        for line, text in _code_strings(path)
        if re.search(r"\bsm_\d+|\bgfx\d+", text)
    ]
    assert not wrong, "\n".join(wrong)


# Files that hand the environment on to a child process.
STARTS_PROCESSES = ("compiler/pool.py", "compiler/toolchain/ptxas.py")


def test_only_knobs_reads_the_environment() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        if path.name != "knobs.py" and not str(path).endswith(STARTS_PROCESSES)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv") and ast.unparse(node.value) == "os"
    ]
    assert not wrong, "\n".join(wrong)


def test_no_global_statements() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Global)
    ]
    assert not wrong, "\n".join(wrong)
