"""Device code from outside: sources in other languages, and calls of their functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Buffer, Element, Region, int32_value, memory_of, narrow_place
from tilelang_mlir.frontend.builder import Builder, require
from tilelang_mlir.frontend.expr import Expr, as_expr, value_of
from tilelang_mlir.frontend.sources import add_source
from tilelang_mlir.language.device_library import LIBRARY
from tilelang_mlir.language.kernel import Kernel, current_kernel
from tilelang_mlir.language.math import cast, reinterpret
from tilelang_mlir.language.pointers import Pointer, place_of
from tilelang_mlir.language.sync import in_kernel
from tilelang_mlir.mlir import ir

_ACCESS = {1: "r", 2: "w", 3: "rw"}
_UINT64 = DType("uint64")
# A name of C, or one of C++ with namespaces and the arguments of a template.
_NAME = re.compile(r"(?:[A-Za-z_]\w*::)*[A-Za-z_]\w*(?:<[\w\s,:<>*&+-]*>)?")
_NOTHING = ("handle", "void", "")


def import_source(source: str | None = None) -> None:
    """Bring device code along, whose functions `T.call_extern` calls: PTX, LLVM IR, or CUDA C++.

        T.import_source(".visible .func (.param .b32 r) triple (.param .b32 x) { ... }")
        y = T.call_extern("int32", "triple", x)

    The text says which it is: PTX has `.func`, LLVM IR `define`; everything else is C++, which NVRTC compiles when it
    is installed. Functions of PTX and LLVM IR take addresses as generic pointers. The simulator runs no such code.

    Raises:
        TileTypeError: the source is no text.
    """
    if source is not None and source != "":
        add_source(require("T.import_source"), source)


def CUDASourceCodeKernel(
    *blocks: Any,
    threads: Any = None,
    source_code_or_path: Any,
    entry_name: str = "main_kernel",
    cluster_dims: Any = None,
    prelude: str | None = None,
) -> None:
    """A kernel whose code is a `__global__` function of device code: CUDA C++ (through NVRTC) or PTX.

        T.CUDASourceCodeKernel(T.ceildiv(N, 128), threads=128, source_code_or_path=code, entry_name="copy")

    It gets the arguments of the prim_func in order, then the symbolic sizes (int32). The simulator runs no such code.

    Args:
        source_code_or_path: the text, or the name of a file.
        entry_name: the function, of C linkage.

    Raises:
        TileValueError: no name of a function. CompileError: when compiled, if the source has no such function.
    """
    if not isinstance(entry_name, str) or not entry_name.isidentifier():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TileValueError(f"T.CUDASourceCodeKernel needs the name of a function, got {entry_name!r}")
    with Kernel(*blocks, threads=threads, cluster_dims=cluster_dims, prelude=prelude) as _:
        builder, kernel = current_kernel("T.CUDASourceCodeKernel")
        add_source(builder, str(source_code_or_path))
        assert kernel.op is not None
        kernel.op.attributes["entry"] = ir.StringAttr.get(entry_name)


def _defines(builder: Builder, name: str) -> bool:
    """Whether the program's own device code mentions a name."""
    attributes = builder.module.operation.attributes
    texts = ir.ArrayAttr(attributes["tl.sources"]) if "tl.sources" in attributes else ()
    return any(name in ir.StringAttr(text).value for text in texts)


def call_extern(*args: Any, dtype: Any = None) -> Any:
    """Call a function of `T.import_source`; every thread calls it for itself.

        T.call_extern("handle", "decode", T.access_ptr(packed[0], "r"), T.access_ptr(values[0], "w"), 8)

    The dtype comes first, then the function's name, then its arguments; or the dtype is a keyword. Of C++ the name may
    have a namespace and the arguments of a template: `T.call_extern("float32", "tools::scaled<3>", x)`.

    Args:
        dtype: of the result; "handle" or "void" for none. A C++ function that returns nothing gives zero of it.
        args: scalars, and places in memory: pointers of `T.access_ptr` and `T.address_of`, buffers, slices. An access
            "w" counts as a write for the barriers that the compiler places, and so on; places without one as both.

    CUDA's own device functions (`expf`, `__expf`, `__shfl_xor_sync`, `__float2half_rz`) need no source: those that
    have a counterpart in the language are that one.

    Raises:
        TileValueError: no name of a function. TileTypeError: an argument that is neither scalar nor in memory.
        CompileError: when compiled, if no source defines the function, or C++ cannot be compiled here.
    """
    given = list(args)
    if dtype is None and given:
        dtype = given.pop(0)
    name = given.pop(0) if given else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise TileValueError(f"T.call_extern needs the name of a function, got {name!r}", hint="the dtype comes first")
    builder = in_kernel("T.call_extern")
    if name in LIBRARY and not _defines(builder, name):
        value = LIBRARY[name](*given)
        return None if value is None else cast(value, dtype)
    values, types = [], []
    for arg in given:
        tile = isinstance(arg, Element) and len(arg.indices) < arg.buffer.ndim
        if tile or isinstance(arg, Pointer | Buffer | Region):
            element = place_of("T.call_extern", arg)
            values.append(_address(builder, element, _ACCESS[arg.access] if isinstance(arg, Pointer) else "rw"))
            types.append(f"{element.buffer.dtype}*")
        else:
            scalar = as_expr(arg)
            values.append(_bits(builder, scalar))
            types.append(str(scalar.dtype))
    return _call(builder, name, values, types, dtype)


def _call(builder: Builder, name: str, values: list[ir.Value], types: list[str], dtype: Any) -> Any:
    result = "" if str(dtype) in _NOTHING else str(DType(dtype))
    attributes: dict[str, ir.Attribute] = {
        "name": ir.StringAttr.get(name),
        "types": ir.ArrayAttr.get([ir.StringAttr.get(t) for t in types]),
        "result": ir.StringAttr.get(result),
    }
    op = builder.emit("tl.call_extern", values, [builder.type(_UINT64)] if result else [], attributes)
    if not result:
        return None
    kind = DType(result)
    raw = Expr(_UINT64, value=op.results[0], frame=builder.frame)
    return reinterpret(arith.cast(raw, DType(f"uint{kind.bits}")), kind)


def call_intrinsic(dtype: Any, name: str, args: Sequence[Any]) -> Any:
    """An intrinsic that LLVM knows under a name, with scalar arguments."""
    builder = in_kernel("T.call_llvm_intrin")
    scalars = [as_expr(arg) for arg in args]
    return _call(builder, name, [_bits(builder, s) for s in scalars], [str(s.dtype) for s in scalars], dtype)


def call_pure_extern(dtype: Any, name: str, *args: Any) -> Any:
    """`T.call_extern` of a function without side effects."""
    return call_extern(dtype, name, *args)


def _address(builder: Builder, element: Element, access: str) -> ir.Value:
    if element.buffer.memory not in ("global", "shared", "local"):
        raise TileTypeError(
            f"T.call_extern takes no address in {element.buffer.memory} memory, got {element.buffer!r}",
            hint="copy the values to T.alloc_local or shared memory first",
        )
    element = narrow_place(builder, element)
    operands = [memory_of(element.buffer), *(int32_value(builder, i) for i in element.indices)]
    kind = builder.type(_UINT64)
    return builder.emit("tl.address", operands, [kind], {"access": ir.StringAttr.get(access)}).results[0]


def _bits(builder: Builder, scalar: Expr) -> ir.Value:
    """A scalar as 64 bits, zeros above its own."""
    kind = scalar.dtype
    if kind.bits == 1 or kind.kind == "bool":
        scalar, kind = arith.cast(scalar, DType("uint8")), DType("uint8")
    unsigned = DType(f"uint{kind.bits}")
    raw = scalar if str(kind) == str(unsigned) else reinterpret(scalar, unsigned)
    return value_of(builder, arith.cast(raw, _UINT64))
