"""Matrix instructions on registers that a program holds in `T.alloc_local` arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tilelang_mlir.dialect.ops.matrix import KINDS, MATRICES, segment_sizes
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileTypeError, TileValueError, UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Element, int32_value, memory_of, store
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.frontend.expr import BOOL, INT32, Expr, describe, value_of
from tilelang_mlir.language.kernel import get_lane_idx
from tilelang_mlir.language.pointers import place_of
from tilelang_mlir.language.sync import in_kernel
from tilelang_mlir.mlir import ir

NAMES = {
    "fp16": "f16", "float16": "f16", "f16": "f16", "half": "f16", "bf16": "bf16", "bfloat16": "bf16",
    "tf32": "tf32", "tfloat32": "tf32", "int8": "s8", "s8": "s8", "uint8": "u8", "u8": "u8",
    "e4m3": "e4m3", "float8_e4m3": "e4m3", "float8_e4m3fn": "e4m3", "e5m2": "e5m2", "float8_e5m2": "e5m2",
    "fp64": "f64", "float64": "f64", "f64": "f64",
}  # fmt: skip
_SUMS = {
    "fp16": "f16", "float16": "f16", "f16": "f16", "fp32": "f32", "float32": "f32", "f32": "f32", "float": "f32",
    "int32": "s32", "s32": "s32", "int": "s32", "fp64": "f64", "float64": "f64", "f64": "f64",
}  # fmt: skip
_SHAPES = {
    16: ((16, 8, 8), (16, 8, 16)),
    32: ((16, 8, 4), (16, 8, 8)),
    8: ((16, 8, 16), (16, 8, 32)),
    64: ((8, 8, 4),),
}
_SPARSE_SHAPES = {16: ((16, 8, 32),), 32: ((16, 8, 16),), 8: ((16, 8, 64),)}
_LEGAL_SUMS = {"f16": ("f16", "f32"), "s8": ("s32",), "u8": ("s32",), "f64": ("f64",)}


def ptx_mma(*args: Any, dtype: Any = None) -> None:
    """`C += A B` of one warp with `mma.sync`, on registers in `T.alloc_local` arrays.

        T.ptx_mma("float32", "m16n8k16", "row", "col", "fp16", "fp16", "fp32", A.data, 0, B.data, 0, C.data, 0, False)

    Args:
        args: the sum's dtype (or `dtype=`), shape, layouts of A and B ("row", "col"), dtypes of A, B and the sum (fp16,
            bf16, tf32, int8, uint8, e4m3, e5m2, fp64; fp16, fp32, int32, fp64), then array and first element of A,
            of B and of the sum, and whether integers saturate (False).

    Which thread holds which element: PTX ISA 8.7, section 9.7.14.5.

    Raises:
        TileValueError: no such shape, layout or dtype. TileTypeError: a register array of another kind.
    """
    rest = list(args) if dtype is not None else list(args[1:])
    if len(rest) not in (12, 13, 14):
        raise TileTypeError(f"T.ptx_mma takes 13 or 14 arguments, got {len(args)}")
    _mma("T.ptx_mma", rest[:6], rest[6:12], saturate=rest[12] if len(rest) > 12 else False)


_SM70 = (
    "shape A_layout B_layout A_dtype B_dtype C_dtype multiplicand_a a_index multiplicand_b b_index accumulator c_index"
).split()


def ptx_mma_sm70(*args: Any, dtype: Any = None, **named: Any) -> None:
    """`C += A B` of 16x16x4 with Volta's `mma.m8n8k4`: four products of 8x8x4 at once, of float16.

        T.ptx_mma_sm70("m16n16k4", "row", "col", "fp16", "fp16", "fp32", A.data, 0, B.data, 0, C.data, 0)

    Newer machines run it too, more slowly than `T.ptx_mma`. Each lane holds four elements of A and of B and eight sums;
    which ones: PTX ISA 8.7, section 9.7.14.5.1.

    Args:
        args: shape "m16n16k4", layouts of A and B ("row" or "col"), dtypes fp16, fp16 and of the sum (fp16 or fp32),
            then array and first element of A, B and the sum. A dtype in front is accepted.
        named: the last ones by their names: shape, A_layout, B_layout, A_dtype, B_dtype, C_dtype, multiplicand_a,
            a_index, multiplicand_b, b_index, accumulator, c_index.

    Raises:
        TileValueError: another shape, layout or dtype. TileTypeError: a register array of another kind.
    """
    del dtype
    what = "T.ptx_mma_sm70"
    rest = list(args[1:]) if len(args) + len(named) == 13 else list(args)
    if len(rest) + len(named) != 12 or set(named) != set(_SM70[len(rest) :]):
        raise TileTypeError(f"{what} takes 12 arguments, got {len(args) + len(named)}", hint=", ".join(_SM70))
    rest += [named[name] for name in _SM70[len(rest) :]]
    shape, *layouts = rest[:3]
    kinds = [NAMES.get(str(rest[3])), NAMES.get(str(rest[4])), _SUMS.get(str(rest[5]))]
    if shape != "m16n16k4" or any(x not in ("row", "col") for x in layouts):
        raise TileValueError(f"{what}: shape {shape!r} with layouts {layouts}, expected 'm16n16k4', rows and cols")
    if kinds[:2] != ["f16", "f16"] or kinds[2] not in ("f16", "f32"):
        raise TileValueError(f"{what} multiplies fp16 and sums in fp16 or fp32, got {', '.join(map(str, rest[3:6]))}")
    order: dict[str, ir.Attribute] = {"layouts": ir.StringAttr.get(".".join(layouts))}
    _emit_mma(what, [str(kind) for kind in kinds], (16, 16, 4), rest[6:], order)


def _mma(what: str, form: Sequence[Any], places: Sequence[Any], *, saturate: Any = False) -> None:
    kinds, shape = _form(what, form)
    _no_saturation(what, saturate)
    _emit_mma(what, kinds, shape, places)


def ptx_mma_sp(*args: Any, dtype: Any = None) -> None:
    """`C += A B` of one warp with `mma.sp`, A 2:4 sparse: the instruction of `T.gemm_sp`.

        T.ptx_mma_sp("float32", "m16n8k32", "row", "col", "fp16", "fp16", "fp32",
                     A.data, 0, B.data, 0, C.data, 0, E.data, 0, 0, False)

    Args:
        args: as of `T.ptx_mma`, then the array of the metadata and its first element (32 bits from there on), the
            selector (0 or 1; 0 for 8-bit elements) and whether integers saturate (False). Shapes: m16n8k32 (16-bit),
            m16n8k64 (8-bit), m16n8k16 (tf32). A holds half of k.

    Raises:
        TileValueError: no such shape, layout, dtype or selector. TileTypeError: a register array of another kind.
    """
    what = "T.ptx_mma_sp"
    rest = list(args) if dtype is not None else list(args[1:])
    if len(rest) != 16:
        raise TileTypeError(f"{what} takes 17 arguments, got {len(args)}")
    kinds, shape = _form(what, rest[:6], _SPARSE_SHAPES)
    selector = getattr(rest[14], "const", rest[14])
    if selector not in ((0,) if KINDS[kinds[0]] == 8 else (0, 1)):
        raise TileValueError(f"{what}: selector {describe(rest[14])}, expected 0 or 1 (0 for 8-bit elements)")
    _no_saturation(what, rest[15])
    metadata = own_array(what, rest[12], rest[13], "the metadata")
    word = load_own_words(in_kernel(what), metadata, 1)
    number = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), int(selector))
    _emit_mma(what, kinds, shape, rest[6:12], {"selector": number}, word)


def _no_saturation(what: str, saturate: Any) -> None:
    if not (saturate is False or getattr(saturate, "const", saturate) in (None, 0, False)):
        raise UnsupportedError(f"{what} with saturation is not available", hint="sums of integers wrap")


def _emit_mma(
    what: str,
    kinds: list[str],
    shape: tuple[int, int, int],
    places: Sequence[Any],
    more: dict[str, ir.Attribute] | None = None,
    words: Sequence[ir.Value] = (),
) -> None:
    """The op between reads and writes of the register arrays."""
    builder, counts = in_kernel(what), segment_sizes(shape, kinds, sparse="selector" in (more or {}))
    arrays = [own_array(what, places[2 * i], places[2 * i + 1], side) for i, side in enumerate("ABC")]
    if arrays[2].buffer.dtype.is_float != (kinds[2] != "s32"):
        raise TileTypeError(f"{what}: sums of {kinds[2]} in an array of {arrays[2].buffer.dtype}")
    a, b, c = (_load(builder, arrays[i], kinds[i], counts[i], what) for i in range(3))
    attributes: dict[str, ir.Attribute] = {
        "shape": ir.DenseI32ArrayAttr.get(list(shape)),
        "segments": ir.DenseI32ArrayAttr.get(counts),
        **{name: ir.StringAttr.get(kind) for name, kind in zip("abc", kinds, strict=True)},
        **(more or {}),
    }
    op = builder.emit("tl.warp_mma", [*a, *b, *c, *words], [v.type for v in c], attributes)
    _write_sums(builder, arrays[2], kinds[2], list(op.results))


def _form(
    what: str, form: Sequence[Any], allowed: dict[int, tuple[tuple[int, int, int], ...]] | None = None
) -> tuple[list[str], tuple[int, int, int]]:
    """Element types and shape, checked."""
    name, *layouts = form[:3]
    if layouts != ["row", "col"]:
        raise TileValueError(f"{what}: A is in row and B in col layout, got {layouts[0]!r} and {layouts[1]!r}")
    kinds: list[str] = []
    for side, text in zip("ABC", form[3:6], strict=True):
        table = _SUMS if side == "C" else NAMES
        if str(text) not in table:
            raise TileValueError(f"{what}: {side} of dtype {text!r}, expected one of {', '.join(table)}")
        kinds.append(table[str(text)])
    a, b, c = kinds
    if KINDS[a] != KINDS[b] or (a != b and KINDS[a] != 8) or ({a, b} & {"s8", "u8"} and {a, b} & {"e4m3", "e5m2"}):
        raise TileValueError(f"{what}: no instruction multiplies {a} with {b}")
    if c not in _LEGAL_SUMS.get(a, ("f32",)):
        legal = " or ".join(_LEGAL_SUMS.get(a, ("f32",)))
        raise TileValueError(f"{what}: products of {a} are summed in {legal}, not {c}")
    shapes = {f"m{m}n{n}k{k}": (m, n, k) for m, n, k in (allowed or _SHAPES).get(KINDS[a], ())}
    if str(name) not in shapes:
        raise TileValueError(f"{what}: shape {name!r} for {a}, expected {' or '.join(shapes)}")
    return kinds, shapes[str(name)]


def own_array(what: str, place: Any, offset: Any, side: str) -> Element:
    """The first element of an operand's registers, moved by an offset.

    Raises:
        TileTypeError: it is in no array of the thread's own.
    """
    element = place_of(what, place)
    if element.buffer.memory != "local":
        raise TileTypeError(
            f"{what}: {side} is in {element.buffer.memory} memory, expected an array of the thread's own",
            hint="allocate it with T.alloc_local; tiles in fragments are for T.gemm",
        )
    return moved(element, offset)


def moved(element: Element, offset: Any) -> Element:
    """The element so many elements further in memory order."""
    if isinstance(offset, int) and offset == 0:
        return element
    shape = element.buffer.shape
    linear: Any = 0
    for index, size in zip(element.indices, shape, strict=True):
        linear = arith.add(arith.mul(linear, size), index)
    linear = arith.add(linear, offset)
    indices: list[Any] = []
    for size in reversed(shape[1:]):
        indices.insert(0, arith.floormod(linear, size))
        linear = arith.floordiv(linear, size)
    return Element(element.buffer, [linear, *indices])


def _load(builder: Builder, element: Element, kind: str, count: int, what: str) -> list[ir.Value]:
    """The registers of an operand or of the sums."""
    bits = KINDS.get(kind, 32)
    if element.buffer.dtype.bits != bits:
        raise TileTypeError(f"{what}: {kind} needs elements of {bits} bits, got an array of {element.buffer.dtype}")
    if kind == "f64":
        return [value_of(builder, moved(element, i).read()) for i in range(count)]
    return load_own_words(builder, element, count)


def _write_sums(builder: Builder, element: Element, kind: str, values: list[ir.Value]) -> None:
    if kind != "f64":
        store_own_words(builder, element, values)
        return
    for i, value in enumerate(values):
        store(moved(element, i), Expr(element.buffer.dtype, value=value, frame=builder.frame))


def load_own_words(builder: Builder, element: Element, count: int) -> list[ir.Value]:
    """Words of a thread's own array from an element on."""
    found: list[ir.Value] = []
    for start, step in _portions(count):
        place = moved(element, start * 32 // element.buffer.dtype.bits)
        operands = _own_place(builder, place)
        found += list(builder.emit("tl.load_words", operands, [builder.type(INT32)] * step).results)
    return found


def store_own_words(builder: Builder, element: Element, words: Sequence[ir.Value]) -> None:
    """The inverse of `load_own_words`."""
    for start, step in _portions(len(words)):
        place = moved(element, start * 32 // element.buffer.dtype.bits)
        builder.emit("tl.store_words", [*_own_place(builder, place), *words[start : start + step]])


def _own_place(builder: Builder, place: Element) -> list[ir.Value]:
    indices = (int32_value(builder, i) for i in place.indices)
    return [memory_of(place.buffer), builder.constant(1, BOOL), *indices]


def _portions(count: int) -> list[tuple[int, int]]:
    """Runs of 8, 4, 2 or 1."""
    runs: list[tuple[int, int]] = []
    start = 0
    while start < count:
        step = next(size for size in (8, 4, 2, 1) if start + size <= count)
        runs.append((start, step))
        start += step
    return runs


def ptx_ldmatrix(*args: Any, dtype: Any = None) -> None:
    """Load 1, 2 or 4 matrices of 8x8 16-bit elements with `ldmatrix`: `(trans, num, source, target)`.

        T.ptx_ldmatrix(False, 4, T.access_ptr(A_shared[row, col], "r"), T.access_ptr(A_local[0], "w"))

    Lane 8 q + r points at row r of matrix q (16 bytes, whatever the elements are); the lane's words go to its own
    array. TVM's longer form `(dtype, trans, num, ".b16", array, offset, shared, offset)` works too.

    Raises:
        TileValueError: the number is not 1, 2 or 4. TileTypeError: the source is not in shared memory, or the target no
        array of the thread's own.
    """
    trans, num, source, target = _matrix_arguments("T.ptx_ldmatrix", args, dtype)
    builder = in_kernel("T.ptx_ldmatrix")
    place = _matrix_place("T.ptx_ldmatrix", source, "the source")
    operands = [memory_of(place.buffer), *(int32_value(builder, i) for i in place.indices)]
    op = builder.emit(
        "tl.load_matrix", operands, [builder.type(INT32)] * num, {"transpose": ir.BoolAttr.get(bool(trans))}
    )
    store_own_words(builder, own_array("T.ptx_ldmatrix", target, 0, "the target"), list(op.results))


def ptx_stmatrix(trans: Any, num: int, dst: Any, src: Any) -> None:
    """Store 1, 2 or 4 matrices of 8x8 16-bit elements with `stmatrix`: the inverse of `T.ptx_ldmatrix`.

    Raises:
        TileValueError: the number is not 1, 2 or 4. TileTypeError: the target is not in shared memory, or the source no
        array of the thread's own.
    """
    trans, num, dst, src = _matrix_arguments("T.ptx_stmatrix", (trans, num, dst, src), None)
    builder = in_kernel("T.ptx_stmatrix")
    words = load_own_words(builder, own_array("T.ptx_stmatrix", src, 0, "the source"), num)
    place = _matrix_place("T.ptx_stmatrix", dst, "the target")
    operands = [memory_of(place.buffer), *(int32_value(builder, i) for i in place.indices), *words]
    attributes: dict[str, ir.Attribute] = {
        "transpose": ir.BoolAttr.get(bool(trans)),
        "count": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), num),
    }
    builder.emit("tl.store_matrix", operands, [], attributes)


def _matrix_arguments(what: str, args: Sequence[Any], dtype: Any) -> tuple[bool, int, Any, Any]:
    """(transpose, number, shared place, own place) of either form."""
    rest = list(args)
    if len(rest) in (7, 8):
        rest = rest[1:] if len(rest) == 8 else rest
        trans, num, _, own, own_offset, shared, shared_offset = rest
        rest = [trans, num, moved(place_of(what, shared), shared_offset), moved(place_of(what, own), own_offset)]
    if len(rest) != 4:
        raise TileTypeError(f"{what} takes 4 arguments (transpose, number, and the two places), got {len(args)}")
    trans, num = (getattr(v, "const", None) if isinstance(v, Expr) else v for v in rest[:2])
    if num not in MATRICES or not isinstance(trans, bool | int):
        raise TileValueError(f"{what} moves 1, 2 or 4 matrices, got {describe(rest[1])}")
    del dtype
    return bool(trans), int(num), rest[2], rest[3]


def _matrix_place(what: str, value: Any, side: str) -> Element:
    place = place_of(what, value)
    if place.buffer.memory != "shared":
        raise TileTypeError(f"{what}: {side} is in {place.buffer.memory} memory, expected shared memory")
    return place


def mma_fill(dtype: Any, local_size: int, local_ptr: Any, offset: Any = 0) -> None:
    """Set `local_size` elements of a thread's own array to zero, from element `offset` on.

    Raises:
        TileTypeError: the array is none of the thread's own, or has another dtype.
    """
    in_kernel("T.mma_fill")
    first = own_array("T.mma_fill", local_ptr, offset, "the array")
    if DType(dtype) != first.buffer.dtype:
        raise TileTypeError(f"T.mma_fill of {dtype} in an array of {first.buffer.dtype}")
    for i in range(local_size):
        store(moved(first, i), 0)


def mma_store_index_map(thread_id: Any, local_id: Any) -> tuple[Any, Any]:
    """Row and column in a 16x16 tile of sum `local_id` (0 to 7) of a lane: two m16n8 instructions side by side."""
    return thread_id // 4 + 8 * (local_id % 4 // 2), 8 * (local_id // 4) + thread_id % 4 * 2 + local_id % 2


def mma_store(dtype: Any, m: int, n: int, dst_ptr: Any, src_ptr: Any, src_offset: Any, dst_stride: Any) -> None:
    """Store a 16x16 tile of sums that a warp holds to rows `dst_stride` elements apart.

    Raises:
        TileValueError: another size than 16x16. TileTypeError: the source is no array of the thread's own, or the
        target neither in shared nor in device memory.
    """
    in_kernel("T.mma_store")
    if (m, n) != (16, 16):
        raise TileValueError(f"T.mma_store stores tiles of 16x16, got {m}x{n}")
    first = own_array("T.mma_store", src_ptr, src_offset, "the source")
    target = place_of("T.mma_store", dst_ptr)
    if target.buffer.memory not in ("shared", "global"):
        raise TileTypeError(f"T.mma_store: the target is in {target.buffer.memory} memory, expected shared or global")
    if DType(dtype) != target.buffer.dtype:
        raise TileTypeError(f"T.mma_store of {dtype} to a buffer of {target.buffer.dtype}")
    lane = get_lane_idx()
    for i in range(8):
        row, column = mma_store_index_map(lane, i)
        place = moved(target, arith.add(arith.mul(row, dst_stride), column))
        store(place, moved(first, i).read())

