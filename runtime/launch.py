"""Launching prepared calls through ctypes: what runtime/native/launch.cpp does, for installations without it."""

from __future__ import annotations

import ctypes
import functools
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from tilelang_mlir.errors import ArgumentError

from .call import ALLOCATED, ARGUMENT_POINTER, ARGUMENT_SCALAR, CallSpec, KernelCall, Slot, pointer_of
from .library import Library
from .packing import TENSOR_MAP_BYTES, pack
from .views import tensor_view

_MAP_ALIGNMENT = 64
_MAX_ENTRIES = 4096


class Launcher(ABC):
    """Prepared calls by the types and shapes of their arguments.

    `by_value` has a bit per argument whose value matters (a scalar the grid depends on). `miss` is what `call` returns
    for a call that was not added before; calling the object hands such calls to `on_call`.
    """

    def __init__(self, path: str, by_value: int, miss: object, on_call: Callable[..., Any],
                 on_error: Callable[[str, int], Any], on_misaligned: Callable[[int], Any]) -> None:  # fmt: skip
        self._driver = self._open(path)
        self._by_value = by_value
        self._miss = miss
        self._on_call = on_call
        self._on_error = on_error
        self._on_misaligned = on_misaligned
        self._entries: dict[tuple[object, ...], CallSpec] = {}
        self._encode = functools.lru_cache(maxsize=1024)(_encode)

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Launch on the current stream and return the outputs."""
        result = self._miss if keywords else self.call(args, None)
        return self._on_call(*args, **keywords) if result is self._miss else result

    def add(self, args: tuple[Any, ...], spec: CallSpec) -> None:
        """Remember a prepared call for arguments like these."""
        if len(self._entries) >= _MAX_ENTRIES:  # shapes that never repeat must not pile up
            self._entries.clear()
        self._entries[self._key(args)] = spec

    def call(self, args: tuple[Any, ...], stream: int | None) -> Any:
        """Launch on `stream` (None: the current one) and return the outputs, or `miss`."""
        try:
            spec = self._entries.get(self._key(args))
        except ArgumentError:  # the checks of a new call name the parameter
            return self._miss
        return self._miss if spec is None else self._launch(spec, args, stream)

    def _key(self, args: tuple[Any, ...]) -> tuple[object, ...]:
        key: list[object] = []
        for index, value in enumerate(args):
            if value is None or isinstance(value, int | float):
                key += (type(value), value if index >= 64 or self._by_value >> index & 1 else None)
            elif hasattr(value, "get_device"):
                key += (value.dtype, value.get_device(), value.shape, value.stride())
            else:
                view = tensor_view(value, f"argument {index}")
                key += (view.dtype, view.device, view.shape, view.strides)
        return tuple(key)

    def _launch(self, spec: CallSpec, args: tuple[Any, ...], stream: int | None) -> Any:
        block = bytearray(spec.parameters)
        try:
            self._fill(block, spec, args, ARGUMENT_SCALAR, ())
        except (struct.error, OverflowError, TypeError, ValueError):
            return self._miss  # the checks of a new call say what does not fit
        self._fill(block, spec, args, ARGUMENT_POINTER, ())
        memory = (ctypes.c_char * max(len(block), 1)).from_buffer(block or bytearray(1))
        base = ctypes.addressof(memory)
        addresses = [base + offset for offset in spec.offsets]
        before = self._current()
        if before != spec.context:
            self._switch(spec.context)
        try:
            made = [make() for make in spec.allocate]
            self._fill(block, spec, args, ALLOCATED, made)
            queue = spec.current_stream(spec.device_index) if stream is None else stream
            for kernel in spec.kernels:
                if all(kernel.grid):  # an empty grid has nothing to do
                    self._run(kernel, addresses, args, made, queue)
        finally:
            if before and before != spec.context:
                self._switch(before)
        return None if not spec.outputs else made[0] if spec.outputs == 1 else made[: spec.outputs]

    def _fill(self, block: bytearray, spec: CallSpec, args: tuple[Any, ...], wanted: int, made: Sequence[Any]) -> None:
        for slot in spec.slots:
            offset, source, index, code, _ = slot
            if source == wanted:
                pack(block, offset, code, args[index] if wanted == ARGUMENT_SCALAR else self._pointer(slot, args, made))

    def _pointer(self, slot: Slot, args: Sequence[Any], made: Sequence[Any]) -> int:
        _, source, index, _, alignment = slot
        holder = made[index] if source == ALLOCATED else args[index]
        pointer = pointer_of(holder, lambda value: tensor_view(value, f"argument {index}"))
        if pointer % alignment:
            self._on_misaligned(index)
        return pointer

    def _run(self, kernel: KernelCall, addresses: list[int], args: Sequence[Any], made: Sequence[Any],
             queue: int) -> None:  # fmt: skip
        maps = ctypes.create_string_buffer(TENSOR_MAP_BYTES * len(kernel.tensor_maps) + _MAP_ALIGNMENT)
        at = ctypes.addressof(maps) + -ctypes.addressof(maps) % _MAP_ALIGNMENT
        places = list(addresses)
        for encode, slot in kernel.tensor_maps:
            ctypes.memmove(at, self._encode(encode, self._pointer(slot, args, made)), TENSOR_MAP_BYTES)
            places.append(at)
            at += TENSOR_MAP_BYTES
        parameters = (ctypes.c_void_p * max(len(places), 1))(*places)
        name, status = self._start(kernel, parameters, queue)
        if status:
            self._on_error(name, status)

    # -- the vendor's driver -------------------------------------------------------------------------------------------
    @abstractmethod
    def _open(self, path: str) -> Library: ...

    @abstractmethod
    def _current(self) -> int:
        """The current context, 0 for none."""

    @abstractmethod
    def _switch(self, context: int) -> None: ...

    @abstractmethod
    def _start(self, kernel: KernelCall, parameters: Any, queue: int) -> tuple[str, int]:
        """Launch; returns the function that was called and its status."""


def _encode(encode: Callable[[int], bytes], pointer: int) -> bytes:
    return encode(pointer)
