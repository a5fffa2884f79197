"""Kernels found in the cache without tracing: whatever a program is made of changes its key, or it has none."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tilelang_mlir.language as T
from tilelang_mlir import cache, knobs
from tilelang_mlir.jit.program_key import Unknown, program_key

HELPER = """
TILE = 64
def width(scale):
    return TILE * scale
class Shape:
    rows = 8
    def area(self):
        return self.rows * 4
"""
PROGRAM = """
import collections, dataclasses, enum, os, random, time
import numpy as np
import tilelang_mlir as tilelang
import tilelang_mlir.language as T
import key_helper
from key_helper import Shape

FACTOR, SIZES, OPTIONS = 2, [1, 2], {"a": (1, 2.0)}
SHAPE, QUEUE, KIND, NUMBER = Shape(), collections.deque([1]), T.float16, np.int64(3)
traced = []

class Mode(enum.Enum):
    FAST = 1

@dataclasses.dataclass(frozen=True)
class Tiling:
    rows: int = 8
    names: list = dataclasses.field(default_factory=list)

@T.macro
def scale(buffer, i):
    buffer[i] = buffer[i] * FACTOR

def made(by):
    return lambda value: value + by

add = made(1)

def factory(n, tiling=Tiling(), mode=Mode.FAST):
    width = key_helper.width(FACTOR) + SIZES[0] + OPTIONS["a"][0] + SHAPE.area() + add(n) + NUMBER
    @T.prim_func
    def main(A: T.Tensor((n,), KIND)):
        with T.Kernel(1, threads=128):
            for i in T.Parallel(n):
                scale(A, i)
    return main

def environment(n):
    return n if os.environ.get("N") else 1
def clock(n):
    return time.time()
def chance(n):
    return random.random()
def dynamic(n):
    return getattr(T, "flo" + "at16")
def importing(n):
    import math
    return math.pi
def hidden(n):
    return QUEUE[0]
def machine(n):
    return tilelang.utils
def counting(n):
    global FACTOR
    FACTOR += 1
"""
SETTINGS = {"target": "cuda:sm_90a"}


def load(folder: Path, name: str, text: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in ("key_helper", "key_program"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))  # taken away afterwards
    load(tmp_path, "key_helper", HELPER)
    return load(tmp_path, "key_program", PROGRAM)


def key(func: Callable[..., Any], *given: Any) -> str:
    return program_key(func, given, SETTINGS)


def changed_method(program: Any) -> None:
    program.Shape.area = lambda self: 5


def changed_closure(program: Any) -> None:
    program.add = program.made(2)


def changed_cell(program: ModuleType) -> None:
    program.add.__closure__[0].cell_contents = 3


def changed_macro(program: Any) -> None:
    program.scale = T.macro(lambda buffer, i: None)


def changed_default(program: ModuleType) -> None:
    program.factory.__defaults__ = (program.Tiling(rows=16), program.Mode.FAST)


CHANGES: list[Callable[[ModuleType], object]] = [
    lambda m: setattr(m, "FACTOR", 3),
    lambda m: setattr(m, "FACTOR", 2.0),  # as equal as it is
    lambda m: setattr(sys.modules["key_helper"], "TILE", 32),
    lambda m: setattr(sys.modules["key_helper"], "width", lambda scale: 1),
    lambda m: m.SIZES.append(3),
    lambda m: m.OPTIONS.update(a=(1, 3.0)),
    lambda m: setattr(m.Shape, "rows", 9),
    lambda m: setattr(m.SHAPE, "rows", 9),
    lambda m: setattr(m, "KIND", T.bfloat16),
    lambda m: setattr(m, "NUMBER", m.np.int64(4)),
    lambda m: m.Tiling().names and None or m.factory.__defaults__[0].names.append("x"),
    changed_method, changed_closure, changed_cell, changed_macro, changed_default,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_reached_is_part_of_the_key(program: ModuleType, change: Callable[[ModuleType], object]) -> None:
    before = key(program.factory, 128)
    assert key(program.factory, 128) == before
    program.traced.append(1)  # nobody reads it
    assert key(program.factory, 128) == before
    change(program)
    assert key(program.factory, 128) != before


def test_the_text_the_place_and_the_arguments_are_part_of_the_key(program: ModuleType, tmp_path: Path) -> None:
    keys = {key(program.factory, 128), key(program.factory, 64), key(program.factory, 128, program.Mode.FAST)}
    keys.add(program_key(program.factory, (128,), {"target": "cuda:sm_80"}))
    for index, text in enumerate((PROGRAM.replace("threads=128", "threads=256"), "\n" + PROGRAM)):
        keys.add(key(load(tmp_path, f"key_program_{index}", text).factory, 128))
        del sys.modules[f"key_program_{index}"]
    assert len(keys) == 6


def test_names_of_the_language_that_are_replaced(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key(program.factory, 128)
    original = T.Parallel
    monkeypatch.setattr(T, "Parallel", lambda *extents: original(*extents))
    assert key(program.factory, 128) != before


@pytest.mark.parametrize("name", [
    "environment", "clock", "chance", "dynamic", "importing", "hidden", "machine", "counting",
])  # fmt: skip
def test_what_no_key_can_cover_has_none(program: ModuleType, name: str) -> None:
    with pytest.raises(Unknown):
        key(getattr(program, name), 128)


def test_annotations_that_name_what_no_function_captures() -> None:
    def around(size: int) -> Any:
        def factory() -> Any:
            @T.prim_func
            def main(A: T.Tensor((size,), "float32")):  # pyright: ignore[reportInvalidTypeForm]
                with T.Kernel(1):
                    T.fill(A, 0)

            return main

        with pytest.raises(Unknown, match="annotations name size"):
            key(factory)
        return factory

    key(around(3))  # when nothing around it runs, the annotations mean other things


KERNEL = """
import tilelang_mlir as tilelang
import tilelang_mlir.language as T
VALUE = 1.0

@tilelang.jit(target="sim:sm_80")
def filled(n):
    @T.prim_func
    def fill(A: T.Tensor((n,), "float32")):
        with T.Kernel(1, threads=128):
            for i in T.Parallel(128):
                A[i] = VALUE
    return fill
"""


def test_a_program_in_the_cache_is_not_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    monkeypatch.setitem(sys.modules, "key_kernel", ModuleType("key_kernel"))
    with knobs.overrides({"TILELANG_CACHE_DIR": str(tmp_path / "cache"), "TILELANG_DISABLE_CACHE": False}):
        first = load(tmp_path, "key_kernel", KERNEL).filled(128)
        cache.KERNELS.forget()
        again: Any = load(tmp_path, "key_kernel", KERNEL)
        monkeypatch.setattr(again.filled, "get_tir", None)
        kernel = again.filled(128)
        assert kernel is not first and kernel.artifact.lowered == first.artifact.lowered
        tensor = np.zeros(128, np.float32)
        kernel(tensor)
        assert (tensor == 1).all()
        monkeypatch.undo()
        assert kernel.ir("tl") == first.ir("tl")  # traced when asked for
        monkeypatch.setitem(sys.modules, "key_kernel", again)
        again.VALUE = 2.0
        again.filled._kernels.clear()
        again.filled(128)(tensor)
        assert (tensor == 2).all()
        for path in (tmp_path / "cache").rglob("*.kernel"):
            path.write_bytes(b"damaged")
        cache.KERNELS.forget()
        load(tmp_path, "key_kernel", KERNEL).filled(128)(tensor)
        assert (tensor == 1).all()
