"""Views of tensors whose sizes a kernel finds out, with tensor maps of its own."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.buffer import Buffer, int32_value, memory_of
from tilelang_mlir.frontend.spec import check_shape, check_strides, global_type
from tilelang_mlir.language.pointers import place_of
from tilelang_mlir.language.sync import in_kernel
from tilelang_mlir.mlir import ir

_ALIGNMENT = 16  # bytes


def make_tensor_descriptor(base: Any, shape: Any, strides: Any = None) -> Buffer:
    """A view of a tensor from an element on, with sizes that the kernel knows at run time, for copies of tiles.

        rows = offsets[group + 1] - offsets[group]
        out = T.make_tensor_descriptor(C[offsets[group], 0], (rows, N))
        T.copy(acc, out[by * 128, bx * 128])      # by the copy engine; rows from `rows` on are not written

    The view is a tensor of its own: what lies outside its sizes reads as zero and is not written. On sm_90a and later
    each warp that gets here makes a tensor map of it (`tensormap.replace`, then released and acquired), and tiles are
    copied by the tensor memory accelerator as those of an argument are; elsewhere, by the threads. In a loop the view
    is made again in each iteration, once the stores of the last one are complete. Loops of `T.Pipelined` that load from
    a view are split into roles where it is made once, in front of them, from arguments and from tensors that the kernel
    does not write.

    Args:
        base: an element of a tensor, the first of the view, or a tensor. It lies at a multiple of 16 bytes, and so does
            every row of the view: nobody checks that of numbers known at run time.
        shape: sizes, Python integers or integer expressions that all threads of the block have the same. Each is at
            least 1: copies to an empty view are for the program to leave out.
        strides: in elements; without them those of the tensor's last dimensions. The last one is 1.

    Raises:
        TileTypeError: `base` is not in device memory, or a size is no integer. TileValueError: more sizes than the
        tensor has dimensions and no strides, or strides that break the rules above. UnsupportedError: when compiled,
        sizes that differ between threads, or only a part of a warp gets here.
    """
    what = "T.make_tensor_descriptor"
    builder = in_kernel(what)
    element = place_of(what, base)
    buffer = element.buffer
    if buffer.memory != "global":
        raise TileTypeError(f"{what} needs a tensor in device memory, got {buffer!r}")
    sizes = check_shape(shape)
    if strides is None and len(sizes) > buffer.ndim:
        raise TileValueError(
            f"{what}: {len(sizes)} sizes over a tensor of {buffer.ndim} dimensions", hint="give strides"
        )
    steps = buffer.strides[buffer.ndim - len(sizes) :] if strides is None else check_strides(strides)
    _check_steps(what, buffer, sizes, steps)
    operands = [memory_of(buffer), *(int32_value(builder, i) for i in element.indices)]
    numbers: dict[str, list[int]] = {}
    for name, group in (("shape", sizes), ("strides", steps)):
        numbers[name] = [entry if isinstance(entry, int) else -1 for entry in group]
        operands += [int32_value(builder, entry) for entry in group if not isinstance(entry, int)]
    builder.descriptors += 1
    attributes: dict[str, ir.Attribute] = {
        **{name: ir.DenseI64ArrayAttr.get(values) for name, values in numbers.items()},
        "id": ir.IntegerAttr.get(ir.IntegerType.get_signless(64), builder.descriptors - 1),
    }
    if buffer.dtype.kind == "uint":
        attributes["unsigned"] = ir.UnitAttr.get()
    view = Buffer("", sizes, buffer.dtype, "global", tuple(steps))
    kind = global_type(builder, sizes, buffer.dtype, steps)
    view.value = builder.emit("tl.view", operands, [kind], attributes).results[0]
    view.frame = builder.frame
    return view


def _check_steps(what: str, buffer: Buffer, sizes: tuple[Any, ...], steps: Any) -> None:
    if len(steps) != len(sizes):
        raise TileValueError(f"{what}: {len(sizes)} sizes but {len(steps)} strides")
    if not (isinstance(steps[-1], int) and steps[-1] == 1):
        raise TileValueError(f"{what}: the last stride is {steps[-1]}, expected 1")
    for dim, step in enumerate(steps[:-1]):
        if isinstance(step, int) and step * buffer.dtype.bits % (8 * _ALIGNMENT):
            raise TileValueError(
                f"{what}: stride {step} of dimension {dim} is {step * buffer.dtype.bits // 8} bytes of {buffer.dtype}, "
                f"expected a multiple of {_ALIGNMENT}",
                hint="tensor maps describe no other rows; index the tensor itself",
            )
