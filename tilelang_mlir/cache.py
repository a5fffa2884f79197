"""The kernel cache: compiled kernels in memory and on disk, addressed by the hash of everything that went into them.

Entries are relocatable and carry a checksum. Writes are atomic, so many processes may share a folder; a damaged entry
is removed and rebuilt; a folder that cannot be written is read from, or done without. The least recently used entries
go when the folder outgrows TILELANG_CACHE_SIZE_MB.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tilelang_mlir import knobs

_DIGEST_BYTES = 32
_EVICT_TO = 0.8  # of the size cap, so that eviction does not run on every write


def cache_key(parts: Mapping[str, Any]) -> str:
    """The address of an entry: a hash over JSON-able parts and the versions of the tools."""
    text = json.dumps({**parts, "versions": versions()}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of this package and of the tools that make code."""
    found = _installed("tilelang_mlir", "torch_mlir", "llvmlite")
    return {**found, "source": _source_state()}


_DISTRIBUTION = re.compile(r"(\w+)-([\w.+!]+)\.(?:dist|egg)-info")


def _installed(*names: str) -> dict[str, str]:
    """Versions of distributions, by the names of their folders: `importlib.metadata` loads a parser of mails first."""
    found = dict.fromkeys(names, "none")
    for folder in reversed(sys.path):  # the first one counts
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder or os.curdir):
                match = _DISTRIBUTION.match(entry)
                if match and match[1] in found:
                    found[match[1]] = match[2]
    return found


def _source_state() -> str:
    """In a checkout the compiler itself changes between runs: a hash over its files' sizes and times."""
    package = Path(__file__).resolve().parent
    root = package.parent
    if not (root / "pyproject.toml").exists():
        return "installed"
    state = hashlib.sha256()
    for folder in (package, root / "dialect", root / "passes", root / "runtime"):
        for line in sorted(_sources(str(folder))):
            state.update(line.removeprefix(str(root)).encode())
    return state.hexdigest()


def _sources(folder: str) -> Iterator[str]:
    """A line per Python file below a folder; links are not followed."""
    with os.scandir(folder) as entries:  # a quarter of the time that `Path` takes for 550 files
        for entry in entries:
            if entry.name.endswith(".py"):
                status = entry.stat()
                yield f"{entry.path} {status.st_size} {status.st_mtime_ns}\n"
            elif entry.is_dir(follow_symlinks=False):
                yield from _sources(entry.path)


@dataclass(frozen=True)
class DiskCache:
    """A folder of entries, one file each: checksum, then the data."""

    folder: Path
    size_limit: int  # bytes
    suffix: str = ".kernel"

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{self.suffix}"

    def get(self, key: str) -> bytes | None:
        """The data of an entry; None when there is none or it is damaged (it is then removed)."""
        path = self.path(key)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        if hashlib.sha256(data).digest() != digest:
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the time of use, for eviction
        return data

    def put(self, key: str, data: bytes) -> bool:
        """Write an entry; False when the folder cannot be written, which is no error."""
        import tempfile  # which loads much that reading does without

        path = self.path(key)
        temporary = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(data).digest())
                file.write(data)
            os.replace(temporary, path)
        except OSError:
            if temporary:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            return False
        return True

    def evict(self) -> int:
        """Remove least recently used entries until the folder is within its limit; returns how many."""
        entries: list[tuple[float, int, Path]] = []
        for path in self.folder.glob(f"*/*{self.suffix}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        if total <= self.size_limit:
            return 0
        removed = 0
        for _, size, path in sorted(entries, key=lambda entry: entry[0]):
            if total <= self.size_limit * _EVICT_TO:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size
            removed += 1
        return removed

    def clear(self) -> None:
        """Remove all entries."""
        for path in self.folder.glob(f"*/*{self.suffix}"):
            with contextlib.suppress(OSError):
                path.unlink()


class KernelCache:
    """Objects of this process by key, over a `DiskCache` of their serialised form."""

    def __init__(self) -> None:
        self.enabled: bool | None = None  # None: as TILELANG_DISABLE_CACHE says
        self._objects: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._written: dict[Path, int] = {}

    def disk(self) -> DiskCache:
        """The folder the knobs name now."""
        return DiskCache(knobs.cache_dir() / "kernels", knobs.CACHE_SIZE_MB.get() << 20)

    def loaded(self, key: str) -> Any:
        """The object of this process, or None."""
        return self._objects.get(key)

    def remember(self, key: str, value: Any) -> Any:
        """Keep an object of this process; returns the one that counts, which another thread may have made first."""
        return self._objects.setdefault(key, value)

    def read(self, key: str) -> bytes | None:
        """The serialised form on disk, or None."""
        return self.disk().get(key)

    def write(self, key: str, data: bytes) -> None:
        """Store the serialised form; evicts now and then."""
        self._store(self.disk(), key, data)

    def _store(self, disk: DiskCache, key: str, data: bytes) -> None:
        if not disk.put(key, data):
            return
        with self._lock:
            before = self._written.get(disk.folder, 0)
            after = self._written[disk.folder] = before + len(data)
            # The first write of a process, and then every sixteenth of the limit, looks at the folder's size.
            due = before == 0 or before // (disk.size_limit // 16 + 1) != after // (disk.size_limit // 16 + 1)
        if due:
            disk.evict()

    def _programs(self) -> DiskCache:
        return DiskCache(knobs.cache_dir() / "programs", knobs.CACHE_SIZE_MB.get() << 14, ".program")

    def linked(self, program: str) -> str | None:
        """The key of the kernel that a program became, by what is known of the program before it is traced."""
        data = self._programs().get(program)
        return None if data is None else data.decode()

    def link(self, program: str, key: str) -> None:
        """Note which kernel a program becomes."""
        self._store(self._programs(), program, key.encode())

    def forget(self) -> None:
        """Drop the objects of this process; the disk keeps its entries."""
        self._objects.clear()

    def clear(self) -> None:
        """Remove everything, here and on disk."""
        self.forget()
        self.disk().clear()
        self._programs().clear()


KERNELS = KernelCache()


def enable_cache() -> None:
    """Use the kernel cache from here on, whatever TILELANG_DISABLE_CACHE says."""
    KERNELS.enabled = True


def disable_cache() -> None:
    """Compile anew every time from here on, and write nothing."""
    KERNELS.enabled = False


def is_cache_enabled() -> bool:
    """Whether compilations look into the cache."""
    return not knobs.DISABLE_CACHE.get() if KERNELS.enabled is None else KERNELS.enabled
