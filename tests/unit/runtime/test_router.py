"""The router of eager kernels: which calls it passes on, and that its stand-in passes none."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.jit import decorator
from tilelang_mlir.runtime.router import Router, make_router


class Log:
    """Records calls; the name says which callable was reached."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def named(self, name: str) -> Any:
        return lambda *args, **keywords: self.calls.append((name, args, keywords))


@pytest.fixture
def log() -> Log:
    return Log()


def test_constants_go_by_value_and_type(native: ModuleType, log: Log) -> None:
    router = native.Router(0b01, log.named("miss"))
    router.add((1, 2.0), {}, log.named("one"), (1,))
    router.add(("1", 2.0), {}, log.named("text"), (1,))
    for args, reached in (
        ((1, 3.0), "one"), (("1", 3.0), "text"), ((2, 3.0), "miss"), ((True, 3.0), "miss"), ((1.0, 3.0), "miss"),
        ((1, 3), "miss"), ((1,), "miss"), ((1, "3"), "miss"), ((None, 3.0), "miss"),
    ):  # fmt: skip
        router(*args)
        assert log.calls[-1] == (reached, args if reached == "miss" else (3.0,), {})


def test_keywords_come_after_positions(native: ModuleType, log: Log, tensor: Any) -> None:
    router = native.Router(0, log.named("miss"))
    a, b = tensor((4,)), tensor((5,))
    router.add((a,), {"block": 64, "B": b}, log.named("hit"), (2, 0))
    router(a, block=64, B=b)
    assert log.calls[-1] == ("hit", (b, a), {})
    for keywords in ({"block": 65, "B": b}, {"blok": 64, "B": b}, {"B": b, "block": 64}, {"block": 64}):
        router(a, **keywords)
        assert log.calls[-1] == ("miss", (a,), keywords)


def test_arguments_it_cannot_tell_apart_are_never_passed_on(native: ModuleType, log: Log) -> None:
    router = native.Router(0b11, log.named("miss"))
    for value in ([1], (1, 2), {"a": 1}, np.zeros(3), 2**70, object()):
        router.add((value,), {}, log.named("hit"), ())
        router(value)
        assert log.calls[-1][0] == "miss"


def test_errors_of_the_target_come_through(native: ModuleType) -> None:
    def fail(*args: Any) -> None:
        raise KeyError(args)

    router = native.Router(0, fail)
    with pytest.raises(KeyError):
        router(1)
    with pytest.raises(IndexError):
        router.add((1,), {}, fail, (1,))


def test_without_the_extension_every_call_is_new(log: Log) -> None:
    with knobs.overrides({"TILELANG_DISABLE_NATIVE": True}):
        router = make_router(1, log.named("miss"))
    assert isinstance(router, Router)
    router.add((1,), {}, log.named("hit"), ())
    router(1, k=2)
    assert log.calls == [("miss", (1,), {"k": 2})]


def test_eager_kernels(native: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(decorator, "make_router", native.Router)

    @tilelang.jit(target="sim:sm_80")
    def scale(A, factor: T.float32 = 2.0, threads: int = 128):
        n = T.const("n")
        A: T.Tensor((n,), T.float32)
        B = T.empty((n,), T.float32)
        with T.Kernel(1, threads=threads):
            for i in T.Parallel(n):
                B[i] = A[i] * factor
        return B

    slow: list[int] = []
    find = decorator.CallForm.find

    def counted(form: Any, values: tuple[Any, ...]) -> Any:
        slow.append(len(values))
        return find(form, values)

    monkeypatch.setattr(decorator.CallForm, "find", counted)
    a, b = torch.randn(32), torch.randn(48)
    for _ in range(3):
        slow.clear()
        torch.testing.assert_close(scale(a), 2 * a)  # the default is filled in by the slow path, always
        torch.testing.assert_close(scale(a, 3.0), 3 * a)
        torch.testing.assert_close(scale(a, 5.0), 5 * a)  # a run-time scalar: the same kernel and the same route
        torch.testing.assert_close(scale(b, 3.0), 3 * b)
        torch.testing.assert_close(scale(factor=4.0, A=b, threads=64), 4 * b)
    assert len(scale._kernels) == 3
    assert slow == [1]
