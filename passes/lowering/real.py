"""Float arithmetic on SSA values with Python operators, for expansions written as formulas."""

from __future__ import annotations

from tilelang_mlir.mlir import ir

from .emitter import Emitter

_PREDICATES = (
    "false", "oeq", "ogt", "oge", "olt", "ole", "one", "ord", "ueq", "ugt", "uge", "ult", "ule", "une", "uno",
)  # fmt: skip


class Real:
    """A float scalar or vector value; Python numbers become constants of its type."""

    def __init__(self, e: Emitter, value: ir.Value) -> None:
        self.e = e
        self.value = value

    def _lift(self, other: Real | float) -> ir.Value:
        return other.value if isinstance(other, Real) else self.e.splat(self.value.type, float(other))

    def _op(self, name: str, *operands: ir.Value) -> Real:
        return Real(self.e, self.e.pure(name, self.value.type, operands))

    def __add__(self, other: Real | float) -> Real:
        return self._op("arith.addf", self.value, self._lift(other))

    __radd__ = __add__

    def __sub__(self, other: Real | float) -> Real:
        return self._op("arith.subf", self.value, self._lift(other))

    def __rsub__(self, other: float) -> Real:
        return self._op("arith.subf", self._lift(other), self.value)

    def __mul__(self, other: Real | float) -> Real:
        return self._op("arith.mulf", self.value, self._lift(other))

    __rmul__ = __mul__

    def __truediv__(self, other: Real | float) -> Real:
        return self._op("arith.divf", self.value, self._lift(other))

    def __rtruediv__(self, other: float) -> Real:
        return self._op("arith.divf", self._lift(other), self.value)

    def __neg__(self) -> Real:
        return self._op("arith.negf", self.value)

    def fma(self, b: Real | float, c: Real | float) -> Real:
        return self._op("math.fma", self.value, self._lift(b), self._lift(c))

    def call(self, name: str, *others: Real | float, fast: bool = False) -> Real:
        """A math operation; `fast` marks it as the target's approximation."""
        attrs = {"fastmath": ir.Attribute.parse("#arith.fastmath<afn>")} if fast else None
        operands = [self.value, *(self._lift(o) for o in others)]
        return Real(self.e, self.e.pure(f"math.{name}", self.value.type, operands, attrs))

    def abs(self) -> Real:
        return self.call("absf")

    def compare(self, predicate: str, other: Real | float) -> ir.Value:
        flag = self.e.i1
        if isinstance(self.value.type, ir.VectorType):
            flag = self.e.vector_type(self.value.type.shape[0], flag)
        code = {"predicate": ir.IntegerAttr.get(self.e.i64, _PREDICATES.index(predicate))}
        return self.e.pure("arith.cmpf", flag, [self.value, self._lift(other)], code)

    def where(self, condition: ir.Value, other: Real | float) -> Real:
        """self where the condition holds, else other."""
        return self._op("arith.select", condition, self.value, self._lift(other))

    def polynomial(self, coefficients: tuple[float, ...]) -> Real:
        """Horner's scheme, highest power first."""
        total = Real(self.e, self.e.splat(self.value.type, coefficients[0]))
        for coefficient in coefficients[1:]:
            total = total.fma(self, coefficient)
        return total
