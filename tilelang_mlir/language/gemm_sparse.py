"""Products whose left operand keeps two of every four elements."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import buffer_of, extents_of, same_size, tile_of
from tilelang_mlir.frontend.expr import BOOL, Expr, as_expr, value_of
from tilelang_mlir.language.copy import describe_shape
from tilelang_mlir.language.gemm import GemmWarpPolicy, add_condition, check_dtypes, policy_attribute
from tilelang_mlir.language.marks import takes_name
from tilelang_mlir.language.sync import in_kernel
from tilelang_mlir.language.tensor import tcgen05_mma_arrive
from tilelang_mlir.mlir import ir

_SPARSE = ("float16", "bfloat16", "float32", "int8", "uint8", "float8_e4m3", "float8_e4m3fn", "float8_e5m2")


@takes_name
def gemm_sp(
    A_sparse: Any,
    E: Any,
    B: Any,
    C: Any,
    transpose_A: bool = False,
    transpose_E: bool = False,
    transpose_B: bool = False,
    policy: GemmWarpPolicy = GemmWarpPolicy.Square,
    clear_accum: Any = False,
    k_pack: int = 1,
    wg_wait: int = 0,
    annotations: dict[str, Any] | None = None,
) -> None:
    """`C += A @ op(B)` with A 2:4 sparse: of every four neighbours along K two are kept (float32: one of two).

    A_sparse [M, K / 2] holds what is kept, E [M, K / f] which places they had: four bits a group, the first place in
    the lower two, groups in order from the lowest bits on; f = bits of E's dtype (`tilelang.utils.sparse.compress`
    makes both). B is [K, N], C a fragment [M, N]. E is a tile in shared memory, A and B too or fragments. Where wgmma
    can run it, it does: then rows of E of 16 bytes and more let the loads be bulk copies (fp16: `block_K` of 128).

        T.gemm_sp(A_shared, E_shared, B_shared, C_local)  # (128, 32), (128, 4) int16, (64, 128), (128, 128)

    Raises:
        TileValueError: the shapes do not agree. TileTypeError: dtypes or memories that have no sparse product.
        UnsupportedError: when compiled, for a target without sparse matrix instructions.
    """
    del k_pack, wg_wait, annotations
    turned = bool(transpose_A), bool(transpose_E), bool(transpose_B)
    _emit("T.gemm_sp", (A_sparse, E, B, C), turned, policy, clear_accum)


def wgmma_gemm_sp(
    A_sparse: Any,
    E: Any,
    B: Any,
    C: Any,
    transpose_A: bool = False,
    transpose_E: bool = False,
    transpose_B: bool = False,
    policy: GemmWarpPolicy = GemmWarpPolicy.Square,
    clear_accum: Any = False,
    annotations: dict[str, Any] | None = None,
) -> None:
    """Start `T.gemm_sp` as one group of warpgroup products; wait for it with `T.wait_wgmma`.

    Until the wait, C may only be added to by further products, and A and B not changed; E is read when it starts.

        T.wgmma_gemm_sp(A_shared, E_shared, B_shared, C_local)
        T.wait_wgmma(0)

    Raises:
        TileValueError, TileTypeError: as `T.gemm_sp`. UnsupportedError: when compiled, where wgmma cannot run it.
    """
    del annotations
    turned = bool(transpose_A), bool(transpose_E), bool(transpose_B)
    _emit("T.wgmma_gemm_sp", (A_sparse, E, B, C), turned, policy, clear_accum, asynchronous=True)


@takes_name
def tcgen05_gemm_sp(
    A_sparse: Any,
    E: Any,
    B: Any,
    C: Any,
    transpose_A: bool = False,
    transpose_E: bool = False,
    transpose_B: bool = False,
    policy: GemmWarpPolicy = GemmWarpPolicy.Square,
    clear_accum: Any = False,
    mbar: Any = None,
) -> None:
    """Start `C += A @ op(B)` with C in tensor memory and A 2:4 sparse, as for `T.gemm_sp`; the program waits for it.

    All threads of the block call it: they bring E, of int16 (of int32 beside 8-bit A), to tensor memory, where the
    product before must be complete; one of them issues the product. C has 128 rows.

        T.tcgen05_gemm_sp(A_shared, E_shared, B_shared, C_tmem, transpose_B=True, mbar=mbar, clear_accum=k == 0)
        T.mbarrier_wait_parity(mbar, k % 2)

    Args:
        A_sparse, E, B: tiles in shared memory, [M, K / 2], [M, K / f] and [K, N]; E is not transposed.
        clear_accum: set C instead of adding to it.
        mbar: the barrier that gets an arrival when the product is complete; else `T.tcgen05_mma_arrive` names one.

    Raises:
        TileValueError: the shapes do not agree. TileTypeError: dtypes or memories that have no sparse product.
        UnsupportedError: when compiled, for a target without tensor memory or a shape without instruction.
    """
    del policy
    what = "T.tcgen05_gemm_sp"
    if transpose_E:
        raise TileValueError(f"{what} takes E as [M, K / f]", hint="T.gemm_sp takes it transposed, too")
    tiles, turned = (A_sparse, E, B, C), (bool(transpose_A), False, bool(transpose_B))
    builder = in_kernel(what)
    _check_operands(what, tiles, turned, {"A": ("shared",), "E": ("shared",), "B": ("shared",), "C": ("tmem",)})
    operands = [tile_of(value, f"operand {name} of {what}") for name, value in zip("AEBC", tiles, strict=True)]
    keep = arith.logical_not(clear_accum) if isinstance(clear_accum, Expr) else not clear_accum
    a, e, b, c = operands
    attributes = {f"transpose_{name}": ir.BoolAttr.get(turned[side]) for name, side in (("a", 0), ("b", 2))}
    unsigned = {f"{name}_unsigned": ir.UnitAttr.get() for name, tile in (("a", A_sparse), ("b", B))
                if buffer_of(tile, f"an operand of {what}").dtype.kind == "uint"}  # fmt: skip
    builder.emit("tl.tcgen05_sparse_mma", [a, b, c, value_of(builder, as_expr(keep, BOOL)), e], [],
                 {**attributes, **unsigned})  # fmt: skip
    if mbar is not None:
        tcgen05_mma_arrive(mbar)


def _emit(
    what: str,
    tiles: tuple[Any, Any, Any, Any],
    turned: tuple[bool, bool, bool],
    policy: GemmWarpPolicy,
    clear_accum: Any,
    *,
    asynchronous: bool = False,
) -> None:
    builder = in_kernel(what)
    memories = {"A": ("shared", "fragment"), "E": ("shared",), "B": ("shared", "fragment"), "C": ("fragment",)}
    a, b = _check_operands(what, tiles, turned, memories)
    operands = [tile_of(value, f"operand {name} of {what}") for name, value in zip("AEBC", tiles, strict=True)]
    clear = add_condition(builder, operands, clear_accum)
    attributes: dict[str, ir.Attribute] = {
        **{f"transpose_{name}": ir.BoolAttr.get(turn) for name, turn in zip("aeb", turned, strict=True)},
        "policy": policy_attribute(policy),
        "clear": ir.BoolAttr.get(clear),
    }
    for name, dtype in (("a_unsigned", a), ("b_unsigned", b)):
        if dtype.kind == "uint":
            attributes[name] = ir.UnitAttr.get()
    if asynchronous:
        attributes["wgmma"] = ir.UnitAttr.get()
    builder.emit("tl.gemm_sp", operands, [], attributes)


def _check_operands(
    what: str, tiles: tuple[Any, ...], turned: tuple[bool, bool, bool], memories: dict[str, tuple[str, ...]]
) -> tuple[DType, DType]:
    """The dtypes of A and B, when all operands agree."""
    buffers = [buffer_of(tile, f"operand {name} of {what}") for name, tile in zip("AEBC", tiles, strict=True)]
    for (name, places), buffer in zip(memories.items(), buffers, strict=True):
        if buffer.memory not in places:
            accumulate = "accumulate into " + ("T.alloc_tmem" if "tmem" in places else "T.alloc_fragment")
            raise TileTypeError(
                f"operand {name} of {what} is in {buffer.memory} memory, expected {' or '.join(places)}",
                hint=accumulate if name == "C" else "copy it to T.alloc_shared first",
            )
    a, e, b, c = (buffer.dtype for buffer in buffers)
    check_dtypes(a, b, c)
    if str(a) not in _SPARSE or not e.is_integer or e.bits > 32:
        raise TileTypeError(
            f"{what} has no products of {a} with metadata in {e}",
            hint=f"A of {', '.join(_SPARSE)}; metadata of int8, int16 or int32",
        )
    _check_shapes(what, tiles, turned, e.bits // (8 if a.bits == 32 else 4) * 4)
    return a, b


def _check_shapes(
    what: str, tiles: tuple[Any, ...], turned: tuple[bool, bool, bool], per_element: int
) -> None:
    """`per_element` is how many elements of the dense A an element of the metadata describes."""
    shapes: list[tuple[Any, ...]] = []
    for name, tile, turn in zip("AEBC", tiles, (*turned, False), strict=True):
        shape = extents_of(tile)
        if shape is None or len(shape) < 2 or any(size != 1 for size in shape[:-2]):
            text = "an address" if shape is None else f"shape {describe_shape(shape)}"
            raise TileValueError(f"operand {name} of {what} must be a two-dimensional tile, got {text}")
        shapes.append(tuple(shape[-2:])[::-1] if turn else tuple(shape[-2:]))
    a, e, b, c = shapes
    deep = arith.mul(a[1], 2)
    if not (same_size(a[0], c[0]) and same_size(b[1], c[1]) and same_size(deep, b[0])):
        raise TileValueError(
            f"the shapes of {what} do not agree: A is {describe_shape(a)}, op(B) is {describe_shape(b)}, C is "
            f"{describe_shape(c)}",
            hint="A is [M, K / 2], op(B) is [K, N], C is [M, N]",
        )
    if not (same_size(e[0], a[0]) and same_size(arith.mul(e[1], per_element), deep)):
        raise TileValueError(
            f"the metadata of {what} are {describe_shape(e)}, expected "
            f"{describe_shape((a[0], arith.floordiv(deep, per_element)))}",
            hint=f"one element describes {per_element} elements of the dense A",
        )
