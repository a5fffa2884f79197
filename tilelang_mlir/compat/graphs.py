"""CUDA graphs where the CPU stands in for a GPU: what is captured is recorded, and a replay runs it again.

A capture does not run anything on a GPU. Here it runs, for torch and kernels have to say how large their outputs are;
at its end every tensor that was there before has its contents back. A replay leaves its results in the tensors that the
capture returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tilelang_mlir.errors import UnsupportedError

_UNRECORDED = ("__get__", "size", "stride", "dim", "numel", "data_ptr", "untyped_storage", "__repr__", "is_contiguous")


class Graph:
    """In the place of `torch.cuda.CUDAGraph`."""

    capturing: Graph | None = None  # there is one stream, so one capture at a time

    def __init__(self, keep_graph: bool = False) -> None:
        del keep_graph
        self._steps: list[tuple[Callable[[], Any], Any]] = []
        self._before: dict[int, tuple[Any, Any]] = {}  # by address: a storage, and what it held
        self._made: set[int] = set()  # addresses of the results, which the steps keep alive

    def capture_begin(self, *_: Any, **__: Any) -> None:
        """Record from here on.

        Raises:
            UnsupportedError: another capture is under way.
        """
        if Graph.capturing is not None:
            raise UnsupportedError("a CUDA graph is captured while another one is", hint="end the first capture first")
        self.reset()
        Graph.capturing = self

    def capture_end(self) -> None:
        """Record no longer; tensors hold what they held before."""
        Graph.capturing = None
        for storage, contents in self._before.values():
            storage.copy_(contents)
        self._before, self._made = {}, set()

    def run(self, func: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """Run a call of torch, or of a kernel, and remember it."""
        if getattr(func, "__name__", "") in _UNRECORDED:
            return func(*args, **keywords)
        for tensor in _tensors((args, keywords)):
            storage, address = tensor.untyped_storage(), _address(tensor)
            if address not in self._made and address not in self._before:
                self._before[address] = storage, storage.clone()
        out = func(*args, **keywords)
        self._made.update(_address(own) for own in _tensors(out))
        self._steps.append((lambda: func(*args, **keywords), out))
        return out

    def replay(self) -> None:
        """Run what was captured, in order, into the same tensors."""
        for step, out in self._steps:
            for old, new in zip(_tensors(out), _tensors(step()), strict=True):
                if _address(old) != _address(new):
                    old.copy_(new)

    def reset(self) -> None:
        """Forget what was captured."""
        self._steps, self._before, self._made = [], {}, set()

    def pool(self) -> tuple[int, int]:
        """The name of the memory pool: there is one."""
        return 0, 0

    def enable_debug_mode(self) -> None: ...

    def register_generator_state(self, generator: Any) -> None: ...


class capture:
    """In the place of `torch.cuda.graph`: the body of the with statement is captured."""

    def __init__(self, cuda_graph: Graph, *_: Any, **__: Any) -> None:
        self._graph = cuda_graph

    def __enter__(self) -> None:
        self._graph.capture_begin()

    def __exit__(self, *_: object) -> None:
        self._graph.capture_end()


def make_graphed_callables(*_: Any, **__: Any) -> Any:
    """Raises UnsupportedError: backward passes are not captured."""
    raise UnsupportedError("torch.cuda.make_graphed_callables has no counterpart in the simulator",
                           hint="capture with torch.cuda.graph, or call the functions as they are")  # fmt: skip


def recorded(call: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel's call that a capture under way remembers."""

    def run(*args: Any, **keywords: Any) -> Any:
        graph = Graph.capturing
        return call(*args, **keywords) if graph is None else graph.run(call, args, keywords)

    return run


def _tensors(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif type(value).__name__ in ("Tensor", "Parameter"):
        yield value


def _address(tensor: Any) -> int:
    return tensor.untyped_storage().data_ptr()
