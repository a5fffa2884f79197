"""What a search found, and its form on disk."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilelang_mlir.errors import CacheError
from tilelang_mlir.jit.kernel import JITKernel

_RESULT, _KERNEL = "result.json", "kernel.bin"


@dataclass
class AutotuneResult:
    """The best candidate.

    `latency` and `ref_latency` are in ms, `libcode` is the kernel's source, `func` the traced function where it is
    known. `tried` has the outcome of every candidate: a latency, or the reason why there is none.
    """

    latency: float | None = None
    config: dict[str, Any] | None = None
    ref_latency: float | None = None
    libcode: str | None = None
    func: Any = None
    kernel: JITKernel | None = None
    tried: tuple[tuple[dict[str, Any], float | str], ...] = ()

    def __iter__(self) -> Iterator[Any]:
        """Latency, configuration and latency of the reference, as earlier releases gave them."""
        return iter((self.latency, self.config, self.ref_latency))

    def save_to_disk(self, path: str | Path, verbose: bool = False) -> None:
        """Write the result into the folder `path`, which appears at once and complete; an existing one is replaced.

        Raises:
            CacheError: the folder cannot be written, or the configuration is no plain data.
        """
        if self.kernel is None:
            raise CacheError("an empty autotuning result cannot be saved")
        folder = Path(path)
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            data = {"latency": self.latency, "config": _plain(self.config), "ref_latency": self.ref_latency}
            (made / _RESULT).write_text(json.dumps(data))
            (made / _KERNEL).write_bytes(self.kernel.serialize())
            _replace(made, folder)
        except (OSError, TypeError) as error:
            raise CacheError(f"the autotuning result cannot be saved to {folder}: {error}") from error
        finally:
            shutil.rmtree(made, ignore_errors=True)
        if verbose:
            print(f"saved the autotuning result to {folder}")

    @classmethod
    def load_from_disk(cls, path: str | Path, compile_args: Any = None, verbose: bool = False) -> AutotuneResult | None:
        """The result in a folder; None when there is none, or it is damaged or of another version."""
        del compile_args
        folder = Path(path)
        try:
            data = json.loads((folder / _RESULT).read_text())
            kernel = JITKernel.from_database((folder / _KERNEL).read_bytes())
        except (OSError, ValueError, CacheError):
            return None
        kernel.update_tuner_result(data["latency"], data["config"], data["ref_latency"])
        if verbose:
            print(f"loaded the autotuning result from {folder}")
        return cls(data["latency"], data["config"], data["ref_latency"], None, None, kernel)


def _replace(made: Path, folder: Path) -> None:
    """Put a complete folder in its place; another process may do the same at the same time."""
    for _ in range(10):
        with contextlib.suppress(OSError):
            os.rename(made, folder)
            return
        shutil.rmtree(folder, ignore_errors=True)
    if not (folder / _RESULT).exists():
        os.rename(made, folder)


def _plain(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """A configuration as JSON data, equal to itself when read back.

    Raises:
        TypeError: a value is no plain data.
    """
    plain: dict[str, Any] = {
        key: str(value.value) if hasattr(value, "value") else value for key, value in (config or {}).items()
    }
    if "pass_configs" in plain and plain["pass_configs"]:
        plain["pass_configs"] = {str(getattr(k, "value", k)): v for k, v in plain["pass_configs"].items()}
    if json.loads(json.dumps(plain)) != plain:
        raise TypeError(f"{plain} does not survive JSON")
    return plain
