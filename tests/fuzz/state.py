"""What the generator knows while it writes a kernel: live tiles, their sizes of values, and who may meet whom."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from tests.fuzz.program import Node, Scalar, Tensor

SIZES = (1, 2, 3, 4, 5, 7, 8, 13, 16, 16, 17, 24, 31, 32, 32, 48, 64, 64, 80)
VARIABLES = ("i", "j", "l")
MAX_ELEMENTS = 2560
FLOATS = ("float32", "float16", "bfloat16", "float64")
INTS = ("int32", "int8", "uint8", "int16", "uint32")


@dataclass
class Tile:
    """An on-chip buffer that holds values. Fragments of one `family` have layouts that fit each other; `size` is the
    usual magnitude of its values, kept small so that formats do not overflow."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scope: str
    family: Hashable
    size: float = 3.0

    @property
    def is_float(self) -> bool:
        return "float" in self.dtype

    def at(self, indices: Sequence[str]) -> str:
        return f"{self.name}[{', '.join(indices)}]"


@dataclass
class Features:
    """What the target has."""

    dtypes: tuple[str, ...]
    gemm: tuple[tuple[str, str], ...]  # operand and accumulator
    async_copies: bool
    mbarriers: bool
    wave: int = 32
    columns: int = 8  # of a matrix instruction


def features(target: str) -> Features:
    dtypes = (
        "float32",
        "float32",
        "float32",
        "float16",
        "float16",
        "int32",
        "int32",
        "int8",
        "uint8",
        "int16",
        "uint32",
    )
    dtypes += ("int64", "uint16")
    gemm = [("float16", "float32"), ("float16", "float16"), ("int8", "int32")]
    if target.startswith("gfx"):
        return _amd_features(target, dtypes, gemm)
    if target != "sm_75":
        dtypes += ("bfloat16", "bfloat16", "float64")
        gemm += [("bfloat16", "float32"), ("float32", "float32"), ("float64", "float64")]
    if target not in ("sm_75", "sm_80", "sm_86"):
        dtypes += ("float8_e4m3fn", "float8_e5m2")
        gemm += [("float8_e4m3fn", "float32"), ("float8_e5m2", "float32")]
    return Features(dtypes, tuple(gemm), target != "sm_75", target == "sm_90" or target.startswith("sm_1"))


def _amd_features(target: str, dtypes: tuple[str, ...], gemm: list[tuple[str, str]]) -> Features:
    dtypes += ("bfloat16", "bfloat16", "float64")
    gemm.append(("bfloat16", "float32"))
    wave = 64 if target.startswith("gfx9") else 32
    if wave == 64:
        gemm += [("float32", "float32"), ("float64", "float64")]
    floats = {"gfx942": ("float8_e4m3fnuz", "float8_e5m2fnuz")}
    floats |= dict.fromkeys(("gfx950", "gfx1201"), ("float8_e4m3fn", "float8_e5m2"))
    small = floats.get(target, ())
    return Features(dtypes + small, (*gemm, *((kind, "float32") for kind in small)), False, False, wave, 16)


@dataclass
class Block:
    """The grid of a kernel. `rows` and `symbol` name a dynamic dimension, split in tiles of `rows`; `columns` and
    `column_symbol` another."""

    grid: tuple[int, int]
    threads: int
    rows: int = 0
    symbol: str = ""
    total: int = 0
    columns: int = 0
    column_symbol: str = ""
    column_total: int = 0


@dataclass
class State:
    """A kernel being written."""

    rng: random.Random
    block: Block
    features: Features
    params: list[Tensor | Scalar]
    counter: list[int]
    allocations: dict[str, str] = field(default_factory=dict)
    tiles: list[Tile] = field(default_factory=list)
    body: list[Node] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    scalars: list[str] = field(default_factory=list)
    earlier: list[Tensor] = field(default_factory=list)  # parameters of the kernels before
    depth: int = 0

    # -- choices ------------------------------------------------------------------------------------------------------
    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def shape(self, rank: int | None = None, multiple: int = 1) -> tuple[int, ...]:
        """Sizes of a new tile; now and then one long dimension."""
        rank = rank or self.rng.choices((1, 2, 3), (3, 8, 1))[0]
        while True:
            dims = [self.rng.choice(SIZES) for _ in range(rank)]
            if self.chance(0.15):
                dims[self.rng.randrange(rank)] = self.rng.choice((96, 128, 176, 256))
            total = 1
            for dim in dims:
                total *= dim
            if total <= MAX_ELEMENTS and dims[-1] % multiple == 0:
                return tuple(dims)

    def dtype(self, kind: str = "") -> str:
        wanted = [d for d in self.features.dtypes if not kind or ("float" in d) == (kind == "float")]
        return self.rng.choice(wanted)

    def name(self, prefix: str) -> str:
        self.counter[0] += 1
        return f"{prefix}{self.counter[0]}"

    # -- things -------------------------------------------------------------------------------------------------------
    def emit(self, line: str, body: list[Node] | None = None) -> None:
        self.body.append(Node(line, body or []))

    def tile(self, shape: tuple[int, ...], dtype: str, scope: str, family: Hashable = None, size: float = 3.0) -> Tile:
        """Allocate; the caller writes it and calls `live`."""
        name = self.name("s" if scope == "shared" else "f")
        self.allocations[name] = f'T.alloc_{scope}({shape_text(shape)}, "{dtype}")'
        return Tile(name, shape, dtype, scope, family if family is not None else name, size)

    def live(self, tile: Tile) -> Tile:
        if tile not in self.tiles:
            self.tiles.append(tile)
        return tile

    def tensor(self, shape: tuple[int, ...], dtype: str, fill: str) -> Tensor:
        """A parameter of one tile per block, with an uneven end."""
        gx, gy = self.block.grid
        cut = lambda n: self.rng.choice((0, 0, self.rng.randrange(n)))
        if len(shape) == 1:
            sizes = [gx, gy * shape[0] - cut(shape[0])]
        elif len(shape) == 2:
            sizes = [gy * shape[0] - cut(shape[0]), gx * shape[1] - cut(shape[1])]
        else:
            sizes = [gy * shape[0], shape[1], gx * shape[2] - cut(shape[2])]
        spelling = [str(n) for n in sizes]
        axis = 1 if len(shape) == 1 else 0
        if self.block.symbol and shape[0] == self.block.rows:
            sizes[axis], spelling[axis] = self.block.total, self.block.symbol
        if self.block.column_symbol and len(shape) == 2 and shape[1] == self.block.columns:
            sizes[1], spelling[1] = self.block.column_total, self.block.column_symbol
        tensor = Tensor(self.name("A" if fill == "random" else "O"), tuple(sizes), tuple(spelling), dtype, fill)
        self.params.append(tensor)
        return tensor

    def inputs(self, shape: tuple[int, ...], dtype: str) -> Tensor:
        return self.tensor(shape, dtype, "random")

    def source(self, shape: tuple[int, ...], dtype: str) -> Tensor:
        """What a tile is copied from: a new parameter, or what an earlier kernel has written."""
        if self.block.symbol and shape[0] == self.block.rows:
            return self.inputs(shape, dtype)  # the symbol needs a parameter that names it
        rank = max(len(shape), 2)
        written = [p for p in self.earlier if len(p.sizes) == rank and p.dtype == dtype and p.fill == "poison"]
        return self.rng.choice(written) if written and self.chance(0.5) else self.inputs(shape, dtype)


def place(tensor: Tensor, shape: tuple[int, ...], inner: Sequence[str] = ()) -> str:
    """The address of this block's tile in a tensor, or of an element of it."""
    at = [f"by * {shape[0]}", *("0" for _ in shape[1:-1])]
    at = ["bx", at[0]] if len(shape) == 1 else [*at, f"bx * {shape[-1]}"]
    if inner:
        offset = len(at) - len(inner)
        at = [*at[:offset], *(f"{a} + {b}" if a != "0" else b for a, b in zip(at[offset:], inner, strict=True))]
    return f"{tensor.name}[{', '.join(at)}]"


def shape_text(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
