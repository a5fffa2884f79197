"""The kernel cache: what is found again, what is not, and what a damaged or unwritable folder does."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tilelang_mlir import cache, knobs
from tilelang_mlir.cache import DiskCache, KernelCache, cache_key


@pytest.fixture
def disk(tmp_path: Path) -> DiskCache:
    return DiskCache(tmp_path / "kernels", 10_000)


def test_entries_come_back(disk: DiskCache) -> None:
    assert disk.get("ab12") is None
    assert disk.put("ab12", b"data")
    assert disk.get("ab12") == b"data"
    assert not list(disk.folder.rglob(".tmp-*"))


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 40])
def test_damaged_entry_is_removed(disk: DiskCache, damage: bytes) -> None:
    disk.put("ab12", b"data")
    disk.path("ab12").write_bytes(damage)
    assert disk.get("ab12") is None
    assert not disk.path("ab12").exists()


def test_flipped_bit_is_noticed(disk: DiskCache) -> None:
    disk.put("ab12", b"data" * 100)
    content = bytearray(disk.path("ab12").read_bytes())
    content[77] ^= 4
    disk.path("ab12").write_bytes(content)
    assert disk.get("ab12") is None


def test_least_recently_used_goes_first(disk: DiskCache) -> None:
    for number in range(12):
        disk.put(f"{number:04d}", bytes(968))  # 1000 bytes with the checksum
        os.utime(disk.path(f"{number:04d}"), (number, number))
    disk.get("0000")
    assert disk.evict() == 4
    left = {path.stem for path in disk.folder.rglob("*.kernel")}
    assert left == {"0000", *(f"{number:04d}" for number in range(5, 12))}
    assert disk.evict() == 0


def test_folder_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    disk = DiskCache(tmp_path / "file" / "kernels", 1000)
    assert disk.put("ab12", b"data") is False
    assert disk.get("ab12") is None
    assert disk.evict() == 0


def test_full_disk_is_done_without(disk: DiskCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tilelang_mlir.cache.os.replace", full)
    assert disk.put("ab12", b"data") is False
    assert not list(disk.folder.rglob("*tmp*"))


def test_keys_cover_every_part() -> None:
    base = {"module": "m", "target": "cuda:sm_80", "options": {"a": 1}}
    keys = {cache_key(base), cache_key({**base, "target": "cuda:sm_90a"}), cache_key({**base, "options": {"a": 2}})}
    assert len(keys) == 3
    assert cache_key(dict(reversed(base.items()))) == cache_key(base)


def test_enabling_and_disabling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache.KERNELS, "enabled", None)
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        assert not cache.is_cache_enabled()
        cache.enable_cache()
        assert cache.is_cache_enabled()
    cache.disable_cache()
    assert not cache.is_cache_enabled()


def test_writes_keep_the_folder_within_its_limit(tmp_path: Path) -> None:
    with knobs.overrides({"TILELANG_CACHE_DIR": str(tmp_path), "TILELANG_CACHE_SIZE_MB": 1}):
        kernels = KernelCache()
        for number in range(30):
            kernels.write(f"{number:04d}", bytes(100_000))
        size = sum(path.stat().st_size for path in tmp_path.rglob("*.kernel"))
        assert 500_000 < size <= (1 << 20) + 200_000
        assert kernels.read("0029") == bytes(100_000)


def test_many_processes_share_a_folder(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from tilelang_mlir.cache import DiskCache
disk = DiskCache(Path(sys.argv[1]), 1 << 20)
for number in range(200):
    key = f"{number % 10:04d}"
    assert disk.put(key, key.encode() * 1000)
    data = disk.get(key)
    assert data is None or data == key.encode() * 1000
"""
    root = str(Path(cache.__file__).parents[1])
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], env={**os.environ, "PYTHONPATH": root})
        for _ in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]


def test_hit_is_fast(disk: DiskCache) -> None:
    data = os.urandom(200_000)
    disk.put("ab12", data)
    times: list[float] = []
    for _ in range(20):
        start = time.process_time()
        assert disk.get("ab12") == data
        times.append(time.process_time() - start)
    assert sorted(times)[10] < 2e-3


def test_keys_know_the_sources_of_a_checkout(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    source = tmp_path / "folder" / "module.py"
    source.write_text("x = 1")
    (tmp_path / "notes.txt").write_text("no source")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    before = list(cache._sources(str(tmp_path)))
    assert len(before) == 1
    assert list(cache._sources(str(tmp_path))) == before
    source.write_text("x = 12")
    assert list(cache._sources(str(tmp_path))) != before


DOUBLED = """
import sys
import tilelang_mlir as tilelang
import tilelang_mlir.language as T

@tilelang.jit(target="cuda:sm_90a")
def doubled(n):
    @T.prim_func
    def double(A: T.Tensor((n,), "float32"), B: T.Tensor((n,), "float32")):
        with T.Kernel(T.ceildiv(n, 128), threads=128) as block:
            for i in T.Parallel(128):
                B[block * 128 + i] = A[block * 128 + i] * 2
    return double

kernel = doubled(256)
"""
REPORT = """
import hashlib
print(hashlib.sha256(kernel.artifact.binary).hexdigest())
needless = ("email", "llvmlite", "tilelang_mlir.passes", "tilelang_mlir.compiler.pipeline",
            "tilelang_mlir.compiler.codegen", "torch_mlir.dialects._arith", "torch_mlir.dialects._llvm")
print([name for name in sys.modules if name.startswith(needless)])
from torch_mlir.dialects import arith  # others who use the bindings find the classes
print(arith.ConstantOp.OPERATION_NAME)
"""


def test_a_kernel_on_disk_loads_no_compiler(tmp_path: Path) -> None:
    script = tmp_path / "doubled.py"
    script.write_text(DOUBLED)
    names: dict[str, Any] = {"__name__": "doubled", "__file__": str(script)}
    with knobs.overrides({"TILELANG_CACHE_DIR": str(tmp_path / "cache")}):
        exec(compile(DOUBLED, str(script), "exec"), names)
    script.write_text(DOUBLED + REPORT)
    places = {"PYTHONPATH": str(Path(cache.__file__).parents[1]), "TILELANG_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, str(script)]
    run = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True, check=True)
    digest, needless, name = run.stdout.splitlines()
    assert digest == hashlib.sha256(names["kernel"].artifact.binary).hexdigest()
    assert needless == "[]"
    assert name == "arith.constant"
