"""Checks a call's arguments against a launch plan and finds the values of its symbolic dimensions.

The errors name the parameter, what was expected, and what came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tilelang_mlir.dtypes import DType, accepts
from tilelang_mlir.errors import ArgumentError, AssumptionError
from tilelang_mlir.launch_plan import Expr, LaunchPlan, ParamSpec, SolveStep, compile_exprs, format_expr, names_in

from .views import TensorView, is_tensor, tensor_view


class WideSizeError(ArgumentError):
    """A dimension has more elements, or a tensor more bytes, than the kernel counts; one of 64 bits would take it."""


@dataclass(frozen=True)
class Bound:
    """A checked call: kernel argument values by parameter (views, numbers, None) and the dimensions' values."""

    values: tuple[TensorView | int | float | None, ...]
    dims: dict[str, int]
    device: str


class Binder:
    """The argument checks of one launch plan, `device` being the kind of memory it takes: `cuda` or `cpu`."""

    def __init__(self, plan: LaunchPlan, device: str) -> None:
        self.plan = plan
        self._device = device
        self._inputs = tuple(p for p in plan.user_params if not p.output)
        self._names = tuple(p.name for p in plan.params if p.kind in ("scalar", "symbol"))

    def bind(self, args: Sequence[object]) -> Bound:
        """Check the arguments of a call; outputs are not among them.

        Raises:
            ArgumentError: an argument does not match its parameter.
        """
        if len(args) != (count := len(self._inputs)):
            names = ", ".join(p.name for p in self._inputs)
            wanted = f"{count} argument{'s' * (count != 1)} ({names})"
            raise ArgumentError(f"{self.plan.name} takes {wanted}, got {len(args)}",
                                hint="outputs are allocated by the kernel and are not passed")
        given = {p.name: self._value(p, arg) for p, arg in zip(self._inputs, args, strict=True)}
        values = tuple(given.get(p.name) for p in self.plan.params)
        dims: dict[str, int] = {
            p.name: int(value)
            for p, value in zip(self.plan.params, values, strict=True)
            if p.kind == "scalar" and isinstance(value, int | float)
        }
        self._solve(values, dims)
        self._check_layouts(values, dims)
        for condition, message in self.plan.asserts:
            if not evaluate((condition,), dims)[0]:
                raise AssumptionError(f"{self.plan.name}: {message}", hint=f"needs {format_expr(condition)}")
        return Bound(values, dims, self._common_device(values))

    def _value(self, param: ParamSpec, arg: object) -> TensorView | int | float | None:
        if param.kind == "scalar":
            return _scalar(param, arg)
        if arg is None:
            if param.used:
                raise ArgumentError(f"{param.name}: None is only taken for a parameter that no kernel uses")
            return None
        if param.kind == "pointer" and isinstance(arg, int):
            return arg
        view = tensor_view(arg, param.name)
        self._check_device(param, view)
        if param.kind == "tensor":
            _check_type(param, view)
        return view

    def _check_device(self, param: ParamSpec, view: TensorView) -> None:
        if not view.device.startswith(self._device):
            raise ArgumentError(f"{param.name}: expected a tensor on {self._device}, got one on {view.device}",
                                hint="move it with .to(...), or compile for target='sim' to run on the CPU")

    def _common_device(self, values: Sequence[object]) -> str:
        first: tuple[str, str] | None = None
        for param, value in zip(self.plan.params, values, strict=True):
            if isinstance(value, TensorView):
                if first is None:
                    first = (param.name, value.device)
                elif value.device != first[1]:
                    raise ArgumentError(f"{param.name}: is on {value.device}, but {first[0]} is on {first[1]}")
        return first[1] if first else ""

    def _solve(self, values: Sequence[object], dims: dict[str, int]) -> None:
        for step in self.plan.solve:
            param, view = self.plan.params[step.param], values[step.param]
            if not isinstance(view, TensorView):
                dims[step.symbol] = self._size_without(step, values)
                continue
            seen = self._seen(step, values)
            product = seen - evaluate((step.rest,), dims)[0]
            dims[step.symbol], remainder = divmod(product, step.coefficient)
            if dims[step.symbol] > 2**31 - 1 and self._narrow(step.symbol):
                raise WideSizeError(f"{param.name}: {step.field}[{step.axis}] is {seen}, "
                                    f"and {step.symbol} is 32 bits wide",
                                    hint=f'T.dynamic("{step.symbol}", "int64") makes it 64 bits wide')
            if remainder or dims[step.symbol] < 0:
                raise ArgumentError(self._no_solution(step, values))

    def _seen(self, step: SolveStep, values: Sequence[object]) -> int:
        """What the arguments say of a dimension: sizes and strides times their weights."""
        total = 0
        for weight, index, field, axis in step.sources:
            view = values[index]
            if not isinstance(view, TensorView):
                raise ArgumentError(f"{self.plan.params[index].name}: None leaves the dimension {step.symbol} unknown")
            shape, strides = logical_layout(self.plan.params[index], view)
            total += weight * (shape if field == "shape" else strides)[axis]
        return total

    def _no_solution(self, step: SolveStep, values: Sequence[object]) -> str:
        said: list[str] = []
        for _, index, field, axis in step.sources:
            param, view = self.plan.params[index], values[index]
            assert isinstance(view, TensorView)
            seen = logical_layout(param, view)[field != "shape"][axis]
            exprs: tuple[Expr, ...] = getattr(param, field)
            said.append(f"{param.name}: {field}[{axis}] is {seen}, but no {step.symbol} makes "
                        f"{format_expr(exprs[axis])}")
        return " that value; ".join(said) + " that value"

    def _size_without(self, step: SolveStep, values: Sequence[object]) -> int:
        """A dimension that only parameters that no kernel uses have, and the first of them is None: what another one
        says, or 0 where all are None, for then no kernel needs it."""
        for param, view in zip(self.plan.params, values, strict=True):
            if param.kind == "tensor" and isinstance(view, TensorView) and step.symbol in param.shape:
                return logical_layout(param, view)[0][param.shape.index(step.symbol)]
        if any(step.symbol in names_in(size) for kernel in self.plan.kernels for size in kernel.grid):
            name = self.plan.params[step.param].name
            raise ArgumentError(f"{name}: None leaves the dimension {step.symbol} unknown")
        return 0

    def _narrow(self, symbol: str) -> bool:
        return any(p.name == symbol and p.dtype == "int32" for p in self.plan.params)

    def _check_layouts(self, values: Sequence[object], dims: dict[str, int]) -> None:
        for param, view in zip(self.plan.params, values, strict=True):
            if isinstance(view, TensorView) and param.kind == "tensor":
                shape = logical_layout(param, view)[0]
                if not self.plan.wide and param.used and max(shape, default=0) > 2**31 - 1:
                    raise WideSizeError(f"{param.name}: shape {list(shape)}: an index of one dimension is 32 bits wide",
                                        hint='sizes of 64 bits have another dtype: T.dynamic("n", "int64")')
                _check_layout(param, view, dims)
            if param.max_bytes and param.used:
                _check_bytes(param, dims)


def evaluate(exprs: Sequence[Expr], dims: dict[str, int]) -> tuple[int, ...]:
    """The values of expressions under known dimensions."""
    known = [expr for expr in exprs if isinstance(expr, int)]
    if len(known) == len(exprs):
        return tuple(known)
    return compile_exprs(exprs, tuple(dims))(*dims.values())


def logical_layout(param: ParamSpec, view: TensorView) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and strides in elements of the parameter's dtype; sub-byte types are packed along the last dimension."""
    bits = DType(param.dtype).stored_bits
    if bits >= 8 or not view.shape:
        return view.shape, view.strides
    shape = (*view.shape[:-1], view.shape[-1] * 8 // bits)
    return shape, (*(step * 8 // bits for step in view.strides[:-1]), view.strides[-1])


def _check_type(param: ParamSpec, view: TensorView) -> None:
    if not accepts(param.dtype, view.dtype):
        raise ArgumentError(f"{param.name}: expected dtype {param.dtype}, got {view.dtype}",
                            hint=f"convert it, or compile the kernel for {view.dtype}")
    if len(view.shape) != len(param.shape):
        raise ArgumentError(f"{param.name}: expected {len(param.shape)} dimensions [{_shape(param.shape)}], "
                            f"got {len(view.shape)} with shape {list(view.shape)}")


def _check_bytes(param: ParamSpec, dims: dict[str, int]) -> None:
    shape, strides = evaluate(param.shape, dims), evaluate(param.strides, dims)
    elements = 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))
    size = elements * DType(param.dtype).stored_bits // 8
    if size > param.max_bytes:
        raise WideSizeError(f"{param.name}: shape {list(shape)} is {size} bytes, an offset is 32 bits wide",
                            hint='sizes of 64 bits have another dtype: T.dynamic("n", "int64")')


def _check_layout(param: ParamSpec, view: TensorView, dims: dict[str, int]) -> None:
    shape, strides = logical_layout(param, view)
    expected = evaluate(param.shape, dims)
    for axis, (want, got) in enumerate(zip(expected, shape, strict=True)):
        if want != got:
            raise ArgumentError(f"{param.name}: expected shape [{_shape(param.shape)}]{_known(param.shape, dims)}, "
                                f"got {list(shape)}: dimension {axis} is {got}, not {want}",
                                hint=f"pass a tensor of that shape, or make dimension {axis} a T.dynamic size")
    if 0 in shape:
        return
    for axis, (want, got) in enumerate(zip(evaluate(param.strides, dims), strides, strict=True)):
        if want != got and shape[axis] > 1:  # the stride of a single element is never used
            raise ArgumentError(
                f"{param.name}: expected strides [{_shape(param.strides)}]{_known(param.strides, dims)}, "
                f"got {list(strides)}: stride {axis} is {got}, not {want}",
                hint=f"pass {param.name}.contiguous(), or declare it as T.StridedTensor",
            )


def _shape(exprs: Sequence[Expr]) -> str:
    return ", ".join(format_expr(expr) for expr in exprs)


def _known(exprs: Sequence[Expr], dims: dict[str, int]) -> str:
    if all(isinstance(expr, int) for expr in exprs):
        return ""
    return f" = {list(evaluate(exprs, dims))}"


def _scalar(param: ParamSpec, arg: Any) -> int | float:
    kind = DType(param.dtype)
    if is_tensor(arg) and getattr(arg, "shape", None) == ():
        arg = arg.item()
    try:
        if kind.is_float:
            return float(arg)
        number = int(arg) if isinstance(arg, bool) else arg.__index__()
    except (TypeError, ValueError, AttributeError):
        raise ArgumentError(f"{param.name}: expected a scalar of dtype {param.dtype}, "
                            f"got {type(arg).__name__} {arg!r}"[:200]) from None
    low, high = (0, 1) if kind.kind == "bool" else (0, 2**kind.bits - 1)
    if kind.kind == "int":
        low, high = -(2 ** (kind.bits - 1)), 2 ** (kind.bits - 1) - 1
    if kind.kind != "handle" and not low <= number <= high:
        raise ArgumentError(f"{param.name}: {number} does not fit into {param.dtype}")
    return number
