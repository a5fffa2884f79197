"""Fresh virtual environments that see this interpreter's installed dependencies but not this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


class Environment:
    """A virtual environment in a folder."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self.python = folder / "bin" / "python"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.packages = folder / "lib" / version / "site-packages"
        (self.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self._variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def install(self, *what: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet", "--no-deps",
                   "--no-index", "--no-build-isolation", "--disable-pip-version-check", *what]  # fmt: skip
        self._check(command, ROOT)

    def run(self, code: str, cwd: Path) -> str:
        """The output of a Python program run in `cwd`."""
        return self._check([str(self.python), "-c", code], cwd)

    def _check(self, command: list[str], cwd: Path) -> str:
        done = subprocess.run(command, cwd=cwd, env=self._variables, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "venv")


@pytest.fixture
def build() -> Callable[..., Path]:
    return _build


def _build(kind: str, source: Path, folder: Path, *settings: str, **variables: str) -> Path:
    """Build a `wheel` or `sdist` of a source tree; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(folder)]
    for setting in settings:
        command.append(f"-C{setting}")
    done = subprocess.run([*command, str(source)], env={**os.environ, **variables}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = folder.iterdir()
    return made
