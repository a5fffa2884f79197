"""`tvm.tir.stmt_functor` for the one kind of statement that programs look for: calls of external functions.

Tools of programs mark places with calls of a function that does not exist, and take the marks out again before they
compile: they walk the body of a function, look at `Evaluate` nodes, and give the number zero in their place. The rest
of a body is not shown.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from tilelang_mlir.compiler.pipeline import copy_module
from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import UnsupportedError
from tilelang_mlir.frontend.expr import Expr
from tilelang_mlir.frontend.primfunc import PrimFunc
from tilelang_mlir.mlir import ir
from tilelang_mlir.passes.walk import nested

_HINT = "bodies show their calls of external functions, and let them be replaced by tir.Evaluate of a constant"


class StringImm:
    """A text among the arguments of a call."""

    def __init__(self, value: str) -> None:
        self.value = value


class ExternCall(Expr):
    """The call of an external function: its name, then one argument per operand, of which constants are known."""

    def __init__(self, op: ir.Operation) -> None:
        super().__init__(DType("handle"))
        self.args = [StringImm(ir.StringAttr(op.attributes["name"]).value), *map(_argument, op.operands)]  # pyright: ignore[reportAttributeAccessIssue]


class Evaluate:
    """A statement: a call, or a constant that takes the place of one."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _argument(value: ir.Value) -> Any:
    """A constant integer, looked at through what makes arguments of it; None where it is no constant."""
    while isinstance(value, ir.OpResult):
        op = value.owner.operation
        if op.name == "arith.constant" and isinstance(op.attributes["value"], ir.IntegerAttr):
            return ir.IntegerAttr(op.attributes["value"]).value
        if op.name not in ("tl.cast", "arith.extsi", "arith.extui", "arith.bitcast"):
            return None
        value = op.operands[0]
    return None


def _statements(module: ir.Module) -> list[ir.Operation]:
    calls = [op for op in nested(module.operation) if op.name == "tl.call_extern"]
    return [op for op in calls if not op.results or not any(True for _ in op.results[0].uses)]


def post_order_visit(body: PrimFunc, visit: Callable[[Any], object]) -> None:
    """Show the calls of a body to `visit`, in order."""
    with body.context:
        for op in _statements(body.module):
            visit(Evaluate(ExternCall(op)))


def ir_transform(
    body: PrimFunc,
    preorder: Callable[[Any], Any] | None,
    postorder: Callable[[Any], Any] | None,
    only_enable: Sequence[str] | None = None,
) -> PrimFunc:
    """The body with each call as the functions have it: the node that they got, None for it, or a constant.

    Raises:
        UnsupportedError: they give another statement.
    """
    if only_enable is not None and not {"tir.Evaluate", "tirx.Evaluate"} & set(only_enable):
        return body
    function = copy.copy(body)
    with function.context:
        function.module = copy_module(function.module)
        for op in _statements(function.module):
            node: Any = Evaluate(ExternCall(op))
            for change in (preorder, postorder):
                given = change(node) if change is not None else None
                node = node if given is None else given
            if isinstance(node, Evaluate) and isinstance(node.value, ExternCall):
                continue
            if not isinstance(node, Evaluate) or not isinstance(node.value, int | Expr):
                raise UnsupportedError(f"a call of a kernel's body cannot become {type(node).__name__}", hint=_HINT)
            op.erase()
    return function


def prim_func(params: Sequence[Any], body: Any, *_: Any, **__: Any) -> PrimFunc:
    """`tir.PrimFunc(params, body, ...)` with the parameters that it had.

    Raises:
        UnsupportedError: the parameters are others, or the body is not one of `ir_transform`.
    """
    if not isinstance(body, PrimFunc) or list(params) != list(body.params):
        raise UnsupportedError("a function made of other parameters or statements than a traced one's", hint=_HINT)
    return body
