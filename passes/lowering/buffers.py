"""What a buffer value of the tile program has become: memory with an address, or registers."""

from __future__ import annotations

from dataclasses import dataclass

from tilelang_mlir.mlir import ir

from ...dialect.layout import Fragment, SharedLayout, TensorLayout
from .emitter import Emitter
from .index import Index
from .recast import RecastRegisters


@dataclass(eq=False)
class GlobalBuffer:
    """A tensor in device memory. Sizes and strides in elements, constants where known.

    `small` ones of run-time size have less than 2 GiB: the launch checks it.
    """

    pointer: ir.Value
    element: ir.Type
    shape: tuple[int | ir.Value, ...]
    strides: tuple[int | ir.Value, ...]
    safe_value: float | int = 0
    row_divisor: int = 1
    stride_divisors: tuple[int, ...] = ()
    small: bool = False

    def __post_init__(self) -> None:
        """Where nothing more is known, a size or stride divides itself if it is a constant."""
        row, strides = self.shape[-1] if self.shape else 1, self.strides
        self.row_divisor = row if isinstance(row, int) else self.row_divisor
        known = self.stride_divisors or (1,) * len(strides)
        self.stride_divisors = tuple(s if isinstance(s, int) else d for s, d in zip(strides, known, strict=True))

    @property
    def needs_wide_offsets(self) -> bool:
        """Whether an element offset may exceed 31 bits."""
        reach = self.reach
        return not self.small if reach is None else reach > 2**31

    @property
    def reach(self) -> int | None:
        """Elements from the first one to the end, None where the size is known at run time only."""
        reach = 1
        for size, stride in zip(self.shape, self.strides, strict=True):
            if not (isinstance(size, int) and isinstance(stride, int)):
                return None
            reach += (size - 1) * stride
        return reach


@dataclass(eq=False)
class SharedBuffer:
    """A tile in the shared arena at `offset` bytes; leading dims beyond the layout's are stages."""

    offset: int
    element: ir.Type
    shape: tuple[int, ...]
    layout: SharedLayout


@dataclass(eq=False)
class PrivateBuffer:
    """An array of each thread."""

    pointer: ir.Value
    element: ir.Type
    shape: tuple[int, ...]


@dataclass(eq=False)
class FragmentBuffer:
    """A tile in registers: `chunk` elements per SSA value, the values in the context's register file.

    A view under another shape has the registers of `viewed`, in the same order.
    """

    element: ir.Type
    layout: Fragment
    chunk: int
    viewed: FragmentBuffer | None = None

    @property
    def storage(self) -> FragmentBuffer:
        """The fragment whose registers these are."""
        return self if self.viewed is None else self.viewed.storage

    @property
    def count(self) -> int:
        """SSA values."""
        return self.layout.num_values // self.chunk


@dataclass(eq=False)
class TensorBuffer:
    """A tile in tensor memory at an i32 address; leading dims are versions. Its elements have no addresses."""

    address: ir.Value
    element: ir.Type
    shape: tuple[int, ...]
    layout: TensorLayout


class RegisterFile(dict[FragmentBuffer, list[ir.Value]]):
    """The SSA values of every fragment; a view finds those of the fragment that it views, as its own elements."""

    def __init__(self, e: Emitter) -> None:
        super().__init__()
        self.e = e

    def __getitem__(self, buffer: FragmentBuffer) -> list[ir.Value]:
        found = super().__getitem__(buffer.storage)
        return found if buffer.element == buffer.storage.element else self._recast(buffer, found)

    def __setitem__(self, buffer: FragmentBuffer, values: list[ir.Value]) -> None:
        if buffer.element == buffer.storage.element:
            super().__setitem__(buffer.storage, values)
            return
        recast = self[buffer]
        for slot, value in enumerate(values):
            recast[slot] = value

    def _recast(self, view: FragmentBuffer, values: list[ir.Value]) -> RecastRegisters:
        source = view.storage
        return RecastRegisters(self.e, values, (view.element, view.chunk), (source.element, source.chunk))


Memory = GlobalBuffer | SharedBuffer | PrivateBuffer  # whose elements have addresses
Buffer = Memory | FragmentBuffer


@dataclass(frozen=True)
class Tile:
    """A region of a buffer: one offset per dimension of the buffer and static sizes."""

    buffer: Buffer
    offsets: tuple[Index, ...]
    sizes: tuple[int, ...]

    @property
    def memory(self) -> Memory:
        """The buffer, where it is none of registers."""
        assert not isinstance(self.buffer, FragmentBuffer)
        return self.buffer


def register_chunk(layout: Fragment, bits: int) -> int:
    """Elements per SSA value: the longest run of fast register digits that fits 64 bytes.

    Wider values mean fewer operations to build, optimise and simulate; code generation takes them apart again.
    """
    limit = max(1, 512 // max(bits, 8))
    chunk = 1
    for digit in layout.value:
        size = max(d for d in range(1, digit.size + 1) if digit.size % d == 0 and chunk * d <= limit)
        chunk *= size
        if size != digit.size:
            break
    return chunk


def element_bits(element: ir.Type) -> int:
    """Bits an element takes in memory; i1 takes a byte."""
    return 8 if _is_bool(element) else element.width


def value_type(e: Emitter, element: ir.Type) -> ir.Type:
    """The type of an element in SSA: narrow floats are carried as integers of their width."""
    if isinstance(element, ir.FloatType) and element.width <= 8:
        return e.i8
    return e.i32 if isinstance(element, ir.IndexType) else element


def storage_type(e: Emitter, element: ir.Type) -> ir.Type:
    """The type of an element in memory."""
    return e.i8 if _is_bool(element) else value_type(e, element)


def _is_bool(element: ir.Type) -> bool:
    return isinstance(element, ir.IntegerType) and element.width == 1
