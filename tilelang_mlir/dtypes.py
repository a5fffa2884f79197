"""Element types: names as users write them, sizes, and their MLIR spelling.

A `DType` is a `str`, so `DType("float16") == "float16"` and it hashes alike. Signedness is part of the dtype but not
of the MLIR type: MLIR integers are signless and each op that cares carries the signedness itself.
"""

from __future__ import annotations

import re

# name -> (kind, bits, MLIR element type)
_SCALARS: dict[str, tuple[str, int, str]] = {
    "bool": ("bool", 1, "i1"),
    **{f"int{n}": ("int", n, f"i{n}") for n in (4, 8, 16, 32, 64)},
    **{f"uint{n}": ("uint", n, f"i{n}") for n in (4, 8, 16, 32, 64)},
    "float16": ("float", 16, "f16"),
    "bfloat16": ("float", 16, "bf16"),
    "tfloat32": ("float", 32, "f32"),
    "float32": ("float", 32, "f32"),
    "float64": ("float", 64, "f64"),
    "float8_e3m4": ("float", 8, "f8E3M4"),
    "float8_e4m3": ("float", 8, "f8E4M3FN"),
    "float8_e4m3b11fnuz": ("float", 8, "f8E4M3B11FNUZ"),
    "float8_e4m3fn": ("float", 8, "f8E4M3FN"),
    "float8_e4m3fnuz": ("float", 8, "f8E4M3FNUZ"),
    "float8_e5m2": ("float", 8, "f8E5M2"),
    "float8_e5m2fnuz": ("float", 8, "f8E5M2FNUZ"),
    "float8_e8m0fnu": ("float", 8, "f8E8M0FNU"),
    "float6_e2m3fn": ("float", 6, "f6E2M3FN"),
    "float6_e3m2fn": ("float", 6, "f6E3M2FN"),
    "float4_e2m1fn": ("float", 4, "f4E2M1FN"),
    "float4_e2m1_unpacked": ("float", 8, "f4E2M1FN"),
    "handle": ("handle", 64, "i64"),
}
_ALIASES = {"short": "int16", "int": "int32", "long": "int64", "uint": "uint32", "half": "float16", "float": "float32",
            "double": "float64", "fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "e4m3": "float8_e4m3fn"}


LARGEST = {  # the largest finite value of a float dtype
    "float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38,
    "tfloat32": 3.4028234663852886e38, "float64": 1.7976931348623157e308, "float8_e4m3": 448.0,
    "float8_e4m3fn": 448.0, "float8_e5m2": 57344.0, "float8_e4m3fnuz": 240.0, "float8_e5m2fnuz": 57344.0,
    "float8_e4m3b11fnuz": 30.0, "float8_e3m4": 15.5, "float6_e2m3fn": 7.5, "float6_e3m2fn": 28.0, "float4_e2m1fn": 6.0,
    "float4_e2m1_unpacked": 6.0, "float8_e8m0fnu": 2.0**127,
}  # fmt: skip


class DType(str):
    """A normalised dtype name, optionally with lanes: `float16`, `int8x4`."""

    kind: str
    bits: int
    lanes: int
    mlir: str

    def __new__(cls, name: object) -> DType:
        if isinstance(name, DType) and type(name) is cls:
            return name
        text = _text_of(name)
        lanes = 1
        if text not in _SCALARS and text not in _ALIASES and (match := re.match(r"^(\w+?)x(\d+)$", text)):
            text, lanes = match[1], int(match[2])
        text = _ALIASES.get(text, text)
        if text not in _SCALARS:
            from tilelang_mlir.errors import TileTypeError

            raise TileTypeError(f"unknown dtype {name!r}", hint=f"known dtypes: {', '.join(sorted(_SCALARS))}")
        self = super().__new__(cls, text if lanes == 1 else f"{text}x{lanes}")
        self.kind, self.bits, self.mlir = _SCALARS[text]
        self.lanes = lanes
        return self

    @property
    def scalar(self) -> DType:
        """The dtype of one lane."""
        return self if self.lanes == 1 else type(self)(self.rsplit("x", 1)[0])

    @property
    def bytes(self) -> int:
        """Storage size of one element (all lanes) in bytes; bool takes a byte, sub-byte types round up."""
        return max(1, (8 if self.kind == "bool" else self.bits) * self.lanes // 8)

    @property
    def stored_bits(self) -> int:
        """Bits that one element (all lanes) takes in a tensor; bool takes a byte."""
        return 8 if self.kind == "bool" else self.bits * self.lanes

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_unsigned(self) -> bool:
        return self.kind in ("uint", "bool")

    @property
    def is_integer(self) -> bool:
        return self.kind in ("int", "uint", "bool")

    def with_lanes(self, lanes: int) -> DType:
        return type(self)(self.scalar if lanes == 1 else f"{self.scalar}x{lanes}")

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (str(self),))


def _text_of(name: object) -> str:
    """The dtype name behind a str, a torch or numpy dtype, or a Python type."""
    if isinstance(name, str):
        return str(name)
    if isinstance(name, type) and name in (bool, int, float):
        return {bool: "bool", int: "int32", float: "float32"}[name]
    text = getattr(name, "name", None) or getattr(name, "__name__", None) or str(name)
    return str(text).removeprefix("torch.")


# Names by MLIR element type, signed reading; the inverse of DType.mlir.
_BY_MLIR = {mlir: name for name, (kind, _, mlir) in reversed(_SCALARS.items()) if kind not in ("uint", "handle")}
_BY_MLIR.update({"f32": "float32", "f8E4M3FN": "float8_e4m3fn", "f4E2M1FN": "float4_e2m1fn"})


def from_mlir(text: str, *, unsigned: bool = False) -> DType:
    """The dtype of an MLIR element type's text, e.g. `from_mlir("bf16")`."""
    name = _BY_MLIR[text]
    return DType(f"u{name}" if unsigned and name.startswith("int") else name)


# What a parameter of the first dtype takes besides its own: same bits, another reading.
_FP8_E4M3 = frozenset({"float8_e4m3", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e4m3b11fnuz"})
_FP8_E5M2 = frozenset({"float8_e5m2", "float8_e5m2fnuz"})
_BYTES = frozenset({"bool", "int8", "uint8"})
_NARROW = frozenset({"int8", "uint8"})


def accepts(expected: str, got: str) -> bool:
    """Whether a tensor of dtype `got` may be passed for a parameter of dtype `expected`."""
    if expected == got or (expected == "tfloat32" and got == "float32"):
        return True
    if expected == "handle":
        return got in ("int64", "uint64")
    for family in (_FP8_E4M3, _FP8_E5M2, _BYTES):
        if expected in family and got in family:
            return True
    if expected in _FP8_E4M3 | _FP8_E5M2 | {"float8_e8m0fnu", "float4_e2m1_unpacked"}:
        return got in _NARROW
    return DType(expected).stored_bits < 8 and (got in _NARROW or got.removesuffix("_x2") == expected)
