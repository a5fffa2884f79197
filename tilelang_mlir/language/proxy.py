"""Descriptions of buffers: `T.Tensor`, `T.StridedTensor`, `T.Buffer`, the scoped buffers of macros, and pointers."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.frontend.annot import (
    BufferAnnot,
    DynAnnot,
    FragmentBufferAnnot,
    LocalBufferAnnot,
    SharedBufferAnnot,
    StridedTensorAnnot,
    TensorAnnot,
)
from tilelang_mlir.frontend.annot.buffers import check_options, describe_buffer, memory_named, split_params
from tilelang_mlir.frontend.buffer import Buffer as _Buffer
from tilelang_mlir.frontend.spec import PointerSpec, make_tensor
from tilelang_mlir.frontend.typename import to_dtype

__all__ = [
    "BaseTensor", "BaseTensorProxy", "Buffer", "BufferProxy", "FragmentBuffer", "FragmentBufferProxy", "LocalBuffer",
    "LocalBufferProxy", "SharedBuffer", "SharedBufferProxy", "StridedTensor", "StridedTensorProxy", "Tensor",
    "TensorProxy", "dyn", "make_tensor", "ptr",
]  # fmt: skip


class BaseTensorProxy:
    """Makes descriptions of buffers in one memory; subclasses say which.

    A description annotates a parameter. Given a pointer as `data` inside a kernel function, it is a buffer over it.
    """

    default_scope = "global"
    default_align = 0
    default_offset_factor = 0

    def __call__(
        self, shape: Any, dtype: Any = "float32", data: Any = None, strides: Any = None, elem_offset: Any = None,
        scope: str | None = None, align: int | None = None, offset_factor: int | None = None, buffer_type: str = "",
        axis_separators: Any = None,
    ) -> Any:  # fmt: skip
        """A description of a buffer.

        Args:
            shape: sizes, an int for one dimension; ints, symbolic sizes, `T.dyn[...]`, or None and type variables,
                which are those of the argument.
            strides: in elements; None for a contiguous buffer.
            align, offset_factor, buffer_type: accepted; addresses are checked at launch.

        Raises:
            TileTypeError, TileValueError: shape, strides, scope or dtype are none.
            UnsupportedError: an element offset or axis separators.
        """
        check_options(elem_offset, align or 0, offset_factor or 0, buffer_type, axis_separators)
        return describe_buffer(shape, dtype, data, strides, memory_named(scope, memory_named(self.default_scope, "")))

    def __getitem__(self, keys: Any) -> Any:
        """`X[[M, N], dtype]`, `X[M, N]` or `X[[M, N]]`."""
        shape, dtype = split_params(keys, self._name)
        return self(shape) if dtype is None else self(shape, dtype)

    def from_ptr(self, pointer_var: Any, shape: Any, dtype: Any = "float32", strides: Any = None) -> Any:
        """A buffer over a pointer argument, inside a kernel function.

        Raises:
            TileTypeError: `pointer_var` is no pointer.
        """
        return make_tensor(pointer_var, shape, dtype, strides)

    def bare_annotation(self) -> BufferAnnot:
        """What the proxy itself means as an annotation: shape and dtype are those of the argument."""
        return TensorAnnot()

    @property
    def _name(self) -> str:
        return "T." + type(self).__name__.removesuffix("Proxy")

    def __repr__(self) -> str:
        return self._name


class BufferProxy(BaseTensorProxy):
    """`T.Buffer(shape, dtype, strides=...)`, the older spelling of a tensor argument."""

    def __call__(
        self, shape: Any, dtype: Any = "float32", data: Any = None, strides: Any = None, elem_offset: Any = None,
        scope: str | None = "global", align: int | None = 0, offset_factor: int | None = 0, buffer_type: str = "",
        axis_separators: Any = None,
    ) -> Any:  # fmt: skip
        return super().__call__(
            shape, dtype, data, strides, elem_offset, scope, align, offset_factor, buffer_type, axis_separators
        )


class TensorProxy(BaseTensorProxy):
    """`T.Tensor(shape, dtype)`: a contiguous tensor in global memory."""

    def __call__(self, shape: Any, dtype: Any = "float32", data: Any = None, scope: str | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().__call__(shape, dtype, data, scope=scope)


class StridedTensorProxy(BaseTensorProxy):
    """`T.StridedTensor(shape, strides, dtype)`: a tensor in global memory with strides in elements."""

    def __call__(self, shape: Any, strides: Any, dtype: Any = "float32", scope: str | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().__call__(shape, dtype, strides=strides, scope=scope)

    def __getitem__(self, keys: Any) -> Any:
        """`X[[sizes], [strides], dtype]`."""
        if not isinstance(keys, tuple) or not 2 <= len(keys) <= 3:
            return StridedTensorAnnot()[keys]  # refuses it, and says how it is written
        return self(*keys)

    def bare_annotation(self) -> BufferAnnot:
        return StridedTensorAnnot()


class FragmentBufferProxy(BaseTensorProxy):
    """`T.FragmentBuffer`: a tile in registers."""

    default_scope = "local.fragment"

    def bare_annotation(self) -> BufferAnnot:
        return FragmentBufferAnnot()


class SharedBufferProxy(BaseTensorProxy):
    """`T.SharedBuffer`: a tile in shared memory."""

    default_scope = "shared.dyn"

    def bare_annotation(self) -> BufferAnnot:
        return SharedBufferAnnot()


class LocalBufferProxy(BaseTensorProxy):
    """`T.LocalBuffer`: an array private to each thread."""

    default_scope = "local"

    def bare_annotation(self) -> BufferAnnot:
        return LocalBufferAnnot()


Tensor = TensorProxy()
StridedTensor = StridedTensorProxy()
FragmentBuffer = FragmentBufferProxy()
SharedBuffer = SharedBufferProxy()
LocalBuffer = LocalBufferProxy()
Buffer = BufferProxy()
dyn = DynAnnot()


class BaseTensor(_Buffer):
    """The description of a tensor as a class: `BaseTensor(shape, dtype)` is what `T.Tensor(shape, dtype)` returns."""

    def __new__(  # pyright: ignore[reportInconsistentConstructor]
        cls, shape: Any, dtype: Any = "float32", data: Any = None, strides: Any = None, elem_offset: Any = None,
        scope: str | None = None, align: int | None = None, offset_factor: int | None = None, buffer_type: str = "",
        axis_separators: Any = None,
    ) -> Any:  # fmt: skip
        return BaseTensorProxy()(
            shape, dtype, data, strides, elem_offset, scope, align, offset_factor, buffer_type, axis_separators
        )

    def __class_getitem__(cls, key: Any) -> Any:
        return Tensor[key]

    @classmethod
    def from_ptr(cls, pointer_var: Any, shape: Any, dtype: Any = "float32", strides: Any = None) -> Any:
        """A tensor over a pointer argument."""
        return make_tensor(pointer_var, shape, dtype, strides)


class _Pointer:
    """`T.ptr` as an annotation, `T.ptr(dtype)` for what it points to, and as the dtype of a table of pointers."""

    is_pointer_spec = True
    dtype = None

    def __call__(self, dtype: Any = None, storage_scope: str = "global", *, is_size_var: bool = False) -> PointerSpec:
        """The annotation of a pointer argument to elements of `dtype`; `is_size_var` is accepted."""
        del is_size_var
        memory_named(storage_scope, "")
        return PointerSpec(None if dtype is None else to_dtype(dtype), storage_scope)

    def __repr__(self) -> str:
        return "T.ptr"


ptr = _Pointer()
Ptr = handle = ptr
