"""Annotations of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tilelang_mlir.dialect.tl import FRAGMENT, GLOBAL, LOCAL, SHARED
from tilelang_mlir.dtypes import DType, accepts
from tilelang_mlir.errors import ArgumentError, TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.frontend.annot.base import Annot, ArgVarTable, KeyParser
from tilelang_mlir.frontend.annot.fixed import TIRAnnot, tensor_parameter
from tilelang_mlir.frontend.annot.values import Value
from tilelang_mlir.frontend.buffer import SPELLING, Buffer
from tilelang_mlir.frontend.expr import Expr
from tilelang_mlir.frontend.spec import check_strides, check_tensor_shape, make_tensor
from tilelang_mlir.frontend.typename import dtype, to_dtype

BufferKey = tuple[tuple[Any, ...], tuple[Any, ...] | None, DType]
_Self = TypeVar("_Self", bound="BufferAnnot")


@dataclass(frozen=True)
class Source:
    """Where a static size is read: a dimension of the shape or the strides of an argument."""

    argument: str
    attribute: str  # shape or strides
    dim: int
    bits: int = 8  # of an element that shares bytes

    def read(self, value: Any) -> int:
        """The size, in elements."""
        stored = self._stored(value)
        return stored if isinstance(value, Buffer) else stored * 8 // self.bits

    def _stored(self, value: Any) -> int:
        if self.attribute == "shape":
            return int(value.shape[self.dim])
        if callable(getattr(value, "stride", None)):
            return int(value.stride(self.dim))
        return int(value.strides[self.dim]) // int(getattr(value, "itemsize", 1))


@dataclass(eq=False)
class BufferAnnot(Annot):
    """A tensor: shape and strides (elements; None when contiguous) of static and dynamic values, and a dtype.

    A shape or dtype of None is that of the argument, and part of the cache key.
    """

    shape: tuple[Value, ...] | None = None
    strides: tuple[Value, ...] | None = None
    dtype: dtype | None = None
    name: str | None = None
    memory = GLOBAL

    def __post_init__(self) -> None:
        """Numbers, dtypes and symbolic sizes may stand for the values they mean."""
        self.shape = None if self.shape is None else values_of(self.shape, "shape")
        self.strides = None if self.strides is None else values_of(self.strides, "stride list")

    def is_kernel_arg(self) -> bool:
        return True

    @property
    def scope(self) -> str:
        """The scope as TileLang spells it."""
        return SPELLING.get(self.memory, self.memory)

    def __call__(
        self, shape: Any, dtype: Any = "float32", data: Any = None, strides: Any = None, elem_offset: Any = None,
        scope: str | None = None, align: int = 0, offset_factor: int = 0, buffer_type: str = "",
        axis_separators: Any = None,
    ) -> Any:  # fmt: skip
        """A description of a buffer; with `data`, a buffer over that pointer. See `describe_buffer`."""
        check_options(elem_offset, align, offset_factor, buffer_type, axis_separators)
        return describe_buffer(shape, dtype, data, strides, memory_named(scope, self.memory))

    def __getitem__(self: _Self, params: Any) -> _Self:
        """`X[[M, N], dtype]`, `X[M, N]` or `X[[M, N]]`: the annotation with that shape and dtype."""
        shape, kind = split_params(params, type(self).__name__)
        return type(self)(values_of(shape, "shape"), None, None if kind is None else to_dtype(kind))

    def with_name(self: _Self, name: str) -> _Self:
        def named(values: tuple[Value, ...] | None, what: str) -> tuple[Value, ...] | None:
            return None if values is None else tuple(v.with_name(f"{name}.{what}[{i}]") for i, v in enumerate(values))

        return replace(self, shape=named(self.shape, "shape"), strides=named(self.strides, "strides"), name=name)

    @property
    def is_open(self) -> bool:
        """Whether the rank or the dtype are those of the argument."""
        return self.shape is None or self.dtype is None

    def specialise(self: _Self, target: Any) -> _Self:
        """The annotation with the rank and dtype of an argument, whose sizes stay static.

        Raises:
            ArgumentError: the argument is no tensor.
        """
        if not self.is_open:
            return self
        shape, kind = _shape_of(target, self.name), self.dtype or _dtype_of(target, self.name)
        sizes = self.shape if self.shape is not None else tuple(Value("static") for _ in shape)
        return replace(self, shape=sizes, dtype=kind).with_name(self.name or "a tensor")

    def static_sizes(self) -> Iterator[tuple[str, Source]]:
        """The sizes to read from an argument: name, and where it stands."""
        for attribute in ("shape", "strides"):
            values: tuple[Value, ...] = getattr(self, attribute) or ()
            for dim, value in enumerate(values):
                if value.kind == "static" and not isinstance(value.value, int) and value.name is not None:
                    yield value.name, self._source(attribute, dim, len(values))

    def _source(self, attribute: str, dim: int, rank: int) -> Source:
        """Elements of less than a byte are packed along the last dimension: its size counts bytes, its stride is 1."""
        along = (dim == rank - 1) == (attribute == "shape")
        bits = self.dtype.bits if along and self.dtype is not None and self.dtype.bits in (2, 4, 6) else 8
        return Source(self.name or "", attribute, dim, bits)

    def get_key_parser(self) -> KeyParser:
        return self.parse_key

    def parse_key(self, target: Any) -> BufferKey:
        """Static sizes, static strides (None when contiguous) and dtype of an argument; dynamic sizes are None.

        Raises:
            ArgumentError: it is no tensor of this rank and dtype.
            TileValueError: a size is not the one the annotation says.
        """
        shape, kind = _shape_of(target, self.name), _dtype_of(target, self.name)
        if self.dtype is not None and not accepts(self.dtype, kind):
            raise ArgumentError(f"{self.name or 'a tensor'}: expected dtype {self.dtype}, got {kind}")
        if self.shape is not None and len(self.shape) != len(shape):
            raise ArgumentError(f"{self.name or 'a tensor'}: expected {len(self.shape)} dimensions, "
                                f"got {len(shape)} with shape {list(shape)}")
        rank = len(shape)
        shape = tuple(self._source("shape", dim, rank).read(target) for dim in range(rank))
        sizes = shape if self.shape is None else tuple(v.parse_key(n) for v, n in zip(self.shape, shape, strict=True))
        steps = None
        if self.strides is not None:
            read = [self._source("strides", dim, rank).read(target) for dim in range(len(self.strides))]
            steps = tuple(v.parse_key(n) for v, n in zip(self.strides, read, strict=True))
        return sizes, steps, self.dtype or kind

    def key_of(self, sizes: dict[str, int]) -> BufferKey | None:
        """The key of an argument whose static sizes are known by name; None while rank or dtype are open."""
        if self.shape is None or self.dtype is None:
            return None

        def known(values: Sequence[Value]) -> tuple[Any, ...]:
            return tuple(sizes.get(v.name or "") if v.kind == "static" else None for v in values)

        return known(self.shape), None if self.strides is None else known(self.strides), self.dtype

    @staticmethod
    def match_shape(shape: tuple[Value, ...] | None, target_shape: Sequence[Any], vt: ArgVarTable) -> tuple[Any, ...]:
        """The sizes in the traced function: static ones as in `target_shape`, dynamic ones as variables."""
        if shape is None:
            return tuple(_unfrozen(size) for size in target_shape)
        return tuple(
            value.create_prim_func_arg(value.name or "", _unfrozen(size), vt, create_arg=False)
            for value, size in zip(values_of(shape, "shape"), target_shape, strict=True)
        )

    def create_prim_func_arg(self, name: str, value: Any, vt: ArgVarTable) -> Buffer:
        """The tensor in the traced function.

        Raises:
            ArgumentError: rank, dtype or a static size is not known.
        """
        if value is None:
            value = self.key_of({})
        if value is None:
            raise ArgumentError(f"{name}: the annotation leaves shape or dtype to the argument",
                                hint="call the kernel with a tensor, or annotate it with T.Tensor[[sizes], dtype]")
        sizes, steps, kind = value
        shape = check_tensor_shape(self.match_shape(self.shape, sizes, vt))
        strides = None if steps is None else check_strides(self.match_shape(self.strides, steps, vt))
        return tensor_parameter(name, shape, to_dtype(kind), strides, self.memory)

    def promote(self) -> TIRAnnot | None:
        """The annotation as a fixed one, where nothing of shape and dtype is left to the argument."""
        if self.shape is None or self.dtype is None:
            return None
        values = (*self.shape, *(self.strides or ()))
        if any(not isinstance(v.value, int) and (v.kind == "static" or v.value is None) for v in values):
            return None
        strides = None if self.strides is None else [v.value for v in self.strides]
        return TIRAnnot(Buffer("", [v.value for v in self.shape], self.dtype, self.memory, strides), self.name)


class TensorAnnot(BufferAnnot):
    """`T.Tensor`: a contiguous tensor in global memory."""


class StridedTensorAnnot(BufferAnnot):
    """`T.StridedTensor`: a tensor in global memory with strides of its own, in elements."""

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, shape: Any, strides: Any, dtype: Any = "float32", data: Any = None, elem_offset: Any = None,
        scope: str | None = None, align: int = 0, offset_factor: int = 0, buffer_type: str = "",
        axis_separators: Any = None,
    ) -> Any:  # fmt: skip
        check_options(elem_offset, align, offset_factor, buffer_type, axis_separators)
        return describe_buffer(shape, dtype, data, strides, memory_named(scope, self.memory))

    def __getitem__(self, params: Any) -> StridedTensorAnnot:
        """`X[[sizes], [strides], dtype]`."""
        if not isinstance(params, tuple) or not 2 <= len(params) <= 3:
            raise TileTypeError(f"T.StridedTensor[...] takes [[sizes], [strides], dtype], got {params!r}",
                                hint="write T.StridedTensor[[M, N], [S, 1], T.float16]")
        kind = to_dtype(params[2]) if len(params) == 3 else None
        return StridedTensorAnnot(values_of(params[0], "shape"), values_of(params[1], "stride list"), kind)


class FragmentBufferAnnot(BufferAnnot):
    """`T.FragmentBuffer`: a tile in registers, as a parameter of a macro."""

    memory = FRAGMENT


class SharedBufferAnnot(BufferAnnot):
    """`T.SharedBuffer`: a tile in shared memory, as a parameter of a macro."""

    memory = SHARED


class LocalBufferAnnot(BufferAnnot):
    """`T.LocalBuffer`: an array private to each thread, as a parameter of a macro."""

    memory = LOCAL


BY_MEMORY: dict[str, type[BufferAnnot]] = {
    GLOBAL: TensorAnnot, FRAGMENT: FragmentBufferAnnot, SHARED: SharedBufferAnnot, LOCAL: LocalBufferAnnot
}  # fmt: skip


def annotation_of(buffer: Buffer) -> BufferAnnot:
    """The annotation behind a description of a buffer."""
    kind = StridedTensorAnnot if buffer.is_strided and buffer.memory == GLOBAL else BY_MEMORY[buffer.memory]
    strides = values_of(buffer.strides, "stride list") if buffer.is_strided else None
    return kind(values_of(buffer.shape, "shape"), strides, to_dtype(buffer.dtype))


def describe_buffer(shape: Any, kind: Any, data: Any, strides: Any, memory: str) -> Any:
    """A buffer that only describes an argument; an annotation where a size is left open; a buffer over `data`.

    Raises:
        TileTypeError, TileValueError: the shape, strides or dtype are none.
    """
    if data is not None:
        return make_tensor(data, shape, kind, strides)
    sizes = shape if isinstance(shape, list | tuple) else (shape,)
    open_sizes = any(_is_open(size) for size in sizes)
    if not open_sizes:
        sizes = check_tensor_shape(shape)
    if strides is not None and len(strides) != len(sizes):
        raise TileValueError(f"a strided tensor has {len(sizes)} dimensions but {len(strides)} strides",
                             hint="give one stride per dimension, in elements")
    if open_sizes or any(_is_open(step) for step in strides or ()):
        steps = None if strides is None else values_of(strides, "stride list")
        family = StridedTensorAnnot if steps is not None and memory == GLOBAL else BY_MEMORY[memory]
        return family(values_of(sizes, "shape"), steps, to_dtype(kind))
    return Buffer("", sizes, to_dtype(kind), memory, None if strides is None else check_strides(strides))


def memory_named(scope: str | None, default: str) -> str:
    """The memory that a scope string names.

    Raises:
        TileValueError: it names none.
    """
    if scope is None:
        return default
    if scope not in _SCOPES:
        raise TileValueError(f"unknown scope {scope!r}", hint=f"scopes are {', '.join(_SCOPES)}")
    return _SCOPES[scope]


_SCOPES = {
    "global": GLOBAL, "shared": SHARED, "shared.dyn": SHARED, "local": LOCAL, "local.fragment": FRAGMENT,
    "fragment": FRAGMENT,
}  # fmt: skip


def check_options(elem_offset: Any, align: int, offset_factor: int, buffer_type: str, axis_separators: Any) -> None:
    """Refuse what a description of a buffer cannot express here.

    Raises:
        UnsupportedError: an offset, or axis separators, which are TVM's own.
    """
    del align, offset_factor, buffer_type  # promises about the address: addresses are checked at launch
    if elem_offset not in (None, 0):
        raise UnsupportedError("a buffer with an element offset", hint="pass a tensor that starts there")
    if axis_separators:
        raise UnsupportedError("a buffer with axis separators", hint="leave axis_separators out")


def split_params(params: Any, what: str) -> tuple[Any, Any]:
    """Shape and dtype (None when not said) of `X[[M, N], dtype]`, `X[M, N]` or `X[[M, N]]`.

    Raises:
        TileTypeError: it is one size alone, which could be a shape or a dtype.
    """
    if isinstance(params, list):
        return params, None
    if not isinstance(params, tuple):
        raise TileTypeError(f"{what}[...] takes [[sizes], dtype] or several sizes, got {params!r}",
                            hint="write T.Tensor[[N], dtype]")
    entries: list[Any] = list(params)
    if entries and isinstance(entries[0], list | tuple):
        if len(entries) > 2:
            raise TileTypeError(f"{what}[[sizes], dtype] got {len(entries)} entries", hint="write T.Tensor[[N], dtype]")
        return entries[0], entries[1] if len(entries) == 2 else None
    if len(entries) == 2 and not isinstance(entries[0], str) and _is_dtype(entries[1]):
        return entries[:1], entries[1]  # X[(M), dtype], whose parentheses make no tuple
    return entries, None


def _is_dtype(entry: Any) -> bool:
    """A dtype by its name or as an object of any library; the name of a size is none."""
    if isinstance(entry, str):
        try:
            return bool(DType(entry))
        except TileTypeError:
            return False
    return type(entry).__name__ in ("dtype", "DType")


def values_of(sizes: Any, what: str) -> tuple[Value, ...]:
    """Sizes or strides as values; numbers and expressions are checked."""
    values = sizes if isinstance(sizes, list | tuple) else (sizes,)
    check = check_tensor_shape if what == "shape" else check_strides
    return tuple(Value.from_value(v if _is_open(v) else check((v,))[0]) for v in values)


def _is_open(size: Any) -> bool:
    """Whether a size is left to the argument or to an annotation, rather than a number or an expression."""
    kinds = Value | TypeVar | type
    return size is None or size is Any or (isinstance(size, kinds) and not isinstance(size, Expr))


def _unfrozen(size: Any) -> Any:
    """The number behind its hashable form, which is a pair of type and number."""
    return size if size is None or isinstance(size, int | Expr) else size[1]


def _shape_of(target: Any, name: str | None) -> tuple[int, ...]:
    shape = getattr(target, "shape", None)
    if shape is None:
        raise ArgumentError(f"argument {name or ''!r} must be a tensor, got {type(target).__name__}",
                            hint="pass a torch tensor, a numpy array, or T.Tensor(shape, dtype) to .compile()")
    return tuple(shape)


def _dtype_of(target: Any, name: str | None) -> dtype:
    kind = getattr(target, "dtype", None)
    if kind is None:
        raise ArgumentError(f"argument {name or ''!r} must be a tensor, got {type(target).__name__}")
    return to_dtype(kind)
