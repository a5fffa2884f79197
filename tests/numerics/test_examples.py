"""Every example checks itself in the simulator, in checked mode, and compiles to machine code without spills."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tilelang_mlir import knobs
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.target import Feature, parse_target

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "examples"
EXAMPLES = sorted(path.stem for path in FOLDER.glob("[0-9]*.py"))
TARGETS = ("sm_80", "sm_90a")


def _feature(name: str) -> str:
    """The feature that an example says it needs: `NEEDS = Feature.NAME`."""
    found = re.search(r"^NEEDS = Feature\.(\w+)$", (FOLDER / f"{name}.py").read_text(), re.MULTILINE)
    return found[1] if found else ""


def _runs(name: str, target: str) -> bool:
    return not _feature(name) or parse_target(target).supports(Feature[_feature(name)])


CASES = [(name, target) for name in EXAMPLES for target in TARGETS if _runs(name, target)]


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Examples import `support` from their own folder; nothing is read from or left in the user's cache."""
    monkeypatch.syspath_prepend(str(FOLDER))
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


def load(name: str) -> ModuleType:
    """The example as a module; a new one each time."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_are_examples() -> None:
    numbers = [int(name[:2]) for name in EXAMPLES]
    assert numbers[0] == 1 and len(set(numbers)) == len(numbers) >= 17
    for name in EXAMPLES:
        assert _runs(name, "sm_90a")


@pytest.mark.parametrize(("name", "target"), CASES)
def test_runs_in_the_simulator(name: str, target: str) -> None:
    run = load(name).main(["--target", f"sim:{target}", "--size", "small"])
    assert run.errors and max(run.errors) < 2e-3  # each check also asserts its own, tighter limit
    for kernel in run.kernels:
        assert kernel.adapter.reports, "the kernel did not run"
        assert all(report.instructions for report in kernel.adapter.reports), "the simulation was not checked"


@pytest.mark.parametrize(("name", "target"), [(n, t) for n in EXAMPLES for t in TARGETS if not _runs(n, t)])
def test_machines_without_what_it_needs_are_refused_by_name(name: str, target: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(Feature[_feature(name)].value)):
        load(name).main(["--target", f"sim:{target}", "--size", "small"])


@pytest.mark.parametrize("name", EXAMPLES)
def test_real_sizes_compile_without_spills(name: str, target: str = "sm_90a") -> None:
    """As users run them; `test_target_matrix` has the other targets."""
    run = load(name).main(["--target", target, "--size", "real", "--compile-only"])
    assert run.kernels
    for kernel in run.kernels:
        assert kernel.artifact.binary[:4] == b"\x7fELF"
        assert kernel.n_spills == 0, f"{kernel}: {kernel.resources}"
        assert all(used.stack == 0 for used in kernel.resources.values()), f"{kernel} uses local memory"


def test_quick_start() -> None:
    command = [sys.executable, FOLDER / "quickstart.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    for part in ("relative error", ".visible .entry", "registers", "compiled in ms", "no races"):
        assert part in done.stdout, f"{part!r} is not in the output:\n{done.stdout}"
