"""Sizes, links, generated documentation, and the places of passes."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

from tilelang_mlir.passes import registry
from tilelang_mlir.tools import gen_docs

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("tilelang_mlir", "dialect", "passes", "runtime", "tests")
SOURCES = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not any(parent.is_symlink() for parent in path.parents)
]
MAX_FILE, MAX_FUNCTION = 500, 60


def test_files_are_short() -> None:
    long = [f"{p.relative_to(ROOT)}: {n}" for p in SOURCES if (n := len(p.read_text().splitlines())) > MAX_FILE]
    assert not long, "\n".join(long)


def test_functions_are_short() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {size} lines"
        for path in SOURCES
        if "tests" not in path.relative_to(ROOT).parts
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
        and (size := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION
    ]  # fmt: skip
    assert not long, "\n".join(long)


def test_no_unfinished_work_is_marked() -> None:
    marker = re.compile(r"\b(TO" + "DO|FIX" + r"ME|X{3})\b")
    wrong = [str(path.relative_to(ROOT)) for path in SOURCES if marker.search(path.read_text())]
    assert not wrong, wrong


@pytest.mark.parametrize("link", ["dialect", "passes", "runtime"])
def test_source_roots_are_relative_links(link: str) -> None:
    path = ROOT / "tilelang_mlir" / link
    assert path.is_symlink() and str(path.readlink()) == f"../{link}"


def test_links_in_documentation_lead_somewhere() -> None:
    wrong = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", _without_code(page.read_text()))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not wrong, "\n".join(wrong)


def test_paths_and_names_on_the_page_of_the_architecture_exist() -> None:
    """What stands in backticks: files and folders; functions, classes, passes, operations of any source."""
    hardware = {"HGMMA", "R2UR", "WARPGROUP.DEPBAR"}  # of machine code
    page = re.sub(r"^```.*?^```$", "", (ROOT / "docs/architecture.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    files = [f"/{path.relative_to(ROOT)}/" for f in (*FOLDERS, "docs", "examples") for path in (ROOT / f).rglob("*")]
    words = {word for path in SOURCES for word in re.findall(r"[\w-]+", path.read_text())}
    wrong: list[str] = []
    for text in set(re.findall(r"`([^`\n]+)`", page)) - hardware:
        if re.fullmatch(r"[\w./-]+\.(py|md|mlir|c|h)|[\w.-]+(/[\w.-]+)+/?", text):
            wrong += [] if any(f"/{text.rstrip('/')}/" in file for file in files) else [text]
        elif re.fullmatch(r"[A-Za-z_][\w.]*\w(\(.*\))?|[a-z]+(-[a-z]+)+", text):
            wrong += [] if text.split("(")[0].split(".")[-1] in words else [text]
    assert not wrong, sorted(wrong)


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def test_generated_documentation_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert gen_docs.main(["--check", str(ROOT / "docs")]) == 0, capsys.readouterr().err


def test_stale_documentation_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gen_docs.main([str(tmp_path)]) == 0
    (tmp_path / "ops.md").write_text("old")
    assert gen_docs.main(["--check", str(tmp_path)]) == 1
    assert "ops.md is not up to date" in capsys.readouterr().err


PASSES = [name for name in registry.names() if not name.startswith("test-")]


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_has_the_name_of_its_file(name: str) -> None:
    """`x-y` is class `XY` in `x_y.py`, or in `pass_.py` of a folder that holds it."""
    module, _, attribute = registry.path_of(name).partition(":")
    kind = registry.load(name)
    assert kind.name == name and attribute.lower() == name.replace("-", "")
    if module.rsplit(".", 1)[-1] != "pass_":
        assert module.rsplit(".", 1)[-1] == name.replace("-", "_")
    documented = (kind.__doc__ or "").strip() and not str(kind.__doc__).startswith(f"{attribute}(")
    assert documented or sys.modules[module].__doc__


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_has_lit_tests(name: str) -> None:
    assert list((ROOT / "tests" / "lit" / "passes" / name).glob("*.mlir")), f"add tests/lit/passes/{name}/"


def test_lit_folders_belong_to_passes() -> None:
    folders = {path.name for path in (ROOT / "tests" / "lit" / "passes").iterdir() if path.is_dir()}
    assert folders <= set(registry.names())
