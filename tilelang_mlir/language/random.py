"""Random numbers: a counter-based generator of each thread (Philox4x32-10).

Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011): ten rounds on a counter of four words with a key
of two. The stream of a seed, sequence and offset is that of cuRAND's Philox4_32_10 generator.
"""

from __future__ import annotations

import math
from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileError, TileValueError, UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.buffer import Element, store
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.frontend.control import branch
from tilelang_mlir.frontend.expr import FLOAT32, as_expr, typed_constant
from tilelang_mlir.language import math as tile_math
from tilelang_mlir.language.alloc import alloc_local, alloc_var
from tilelang_mlir.language.kernel import current_kernel, linear_thread

_UINT32, _UINT64 = DType("uint32"), DType("uint64")
_MULTIPLIERS, _WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_GENERATOR = "curandStatePhilox4_32_10_t"


class _State:
    """The generator of a kernel: seed, sequence, and how many words each thread has drawn, offset included."""

    def __init__(self, seed: Any, sequence: Any, drawn: Any) -> None:
        self.seed, self.sequence = alloc_var("uint64", init=seed), alloc_var("uint64", init=sequence)
        self.drawn = alloc_var("uint64", init=drawn)
        self.words = alloc_local((4,), "uint32")
        self.spare, self.has_spare = alloc_var("float32", init=0.0), alloc_var("bool", init=False)
        self.block = alloc_var("uint64", init=_constant(2**64 - 1, _UINT64))  # whose words `words` holds


def rng_init(seed: Any, seq: Any = None, off: Any = 0, generator: str = _GENERATOR) -> None:
    """Start the generator of each thread.

        T.rng_init(seed)
        A[bx * 128 + T.get_thread_binding()] = T.rng_rand_float()

    Args:
        seed: an integer. seq: the thread's stream (default: its index in the grid). off: numbers to skip.
        generator: only Philox ("curandStatePhilox4_32_10_t").

    Raises:
        UnsupportedError: another generator.
    """
    if generator != _GENERATOR:
        raise UnsupportedError(f"T.rng_init: generator {generator!r}", hint=f"use {_GENERATOR!r}")
    builder, kernel = current_kernel("T.rng_init")
    if seq is None:
        block: Any = 0
        for index, size in zip(reversed(kernel.indices), reversed(kernel.blocks), strict=True):
            block = arith.add(arith.mul(block, size), index)
        threads = kernel.threads[0] * kernel.threads[1] * kernel.threads[2]
        seq = arith.add(arith.mul(block, threads), linear_thread())
    launch = builder.require_launch("T.rng_init")
    builder.side["rng"] = (launch, _State(*(_wide(value) for value in (seed, seq, off))))


def rng_rand() -> Any:
    """The thread's next random word (uint32).

    Raises:
        TileError: the kernel has no `T.rng_init` before it.
    """
    state = _state("T.rng_rand")
    drawn = state.drawn.read()
    block = arith.shift_right(drawn, 2)
    for _ in branch(require("T.rng_rand"), arith.compare("NotEq", block, state.block.read()), has_else=False):
        for position, word in enumerate(_philox(state, block)):
            store(Element(state.words, [position]), word)
        store(state.block.element, block)
    place = arith.cast(arith.bit_and(drawn, 3), DType("int32"))
    word = Element(state.words, [place]).read()
    store(state.drawn.element, arith.add(drawn, 1))
    return word


def rng_rand_float(bit: int = 32, dist: str = "uniform") -> Any:
    """The thread's next random float32: uniform in (0, 1], or normal with mean 0 and variance 1.

    Raises:
        TileValueError: another distribution, or another width than 32 bits.
    """
    if bit != 32 or dist not in ("uniform", "normal"):
        raise TileValueError(
            f"T.rng_rand_float(bit={bit}, dist={dist!r})", hint="32 bits; dist is 'uniform' or 'normal'"
        )
    if dist == "uniform":
        return _unit(rng_rand(), 2.0**-32)
    state = _state("T.rng_rand_float")
    result = alloc_var("float32", init=0.0)
    for first in branch(require("T.rng_rand_float"), state.has_spare.read(), has_else=True):
        if first:
            store(result.element, state.spare.read())
            store(state.has_spare.element, False)
            continue
        u, v = _unit(rng_rand(), 2.0**-32), _unit(rng_rand(), 2.0**-32 * 2 * math.pi)
        radius = tile_math.sqrt(arith.mul(_float(-2.0), tile_math.log(u)))
        store(result.element, arith.mul(tile_math.sin(v), radius))
        store(state.spare.element, arith.mul(tile_math.cos(v), radius))
        store(state.has_spare.element, True)
    return result.read()


def _state(what: str) -> _State:
    builder = require(what)
    launch = builder.require_launch(what)
    owner, state = builder.side.get("rng", (None, None))
    if owner is not launch or state is None:
        raise TileError(f"{what} without T.rng_init before it in the kernel")
    return state


def _unit(word: Any, scale: float) -> Any:
    """A word as a float: `word * scale + scale / 2`."""
    return arith.add(arith.mul(arith.cast(word, FLOAT32), _float(scale)), _float(scale / 2))


def _float(value: float) -> Any:
    return typed_constant(value, FLOAT32)


def _constant(value: int, dtype: DType) -> Any:
    return typed_constant(value, dtype)


def _wide(value: Any) -> Any:
    return _constant(value, _UINT64) if isinstance(value, int) else arith.cast(as_expr(value), _UINT64)


def _halves(value: Any) -> list[Any]:
    return [arith.cast(value, _UINT32), arith.cast(arith.shift_right(value, 32), _UINT32)]


def _philox(state: _State, block: Any) -> list[Any]:
    """Four words: ten rounds on the counter (block of four words, sequence), the key growing by the Weyl constants."""
    counter = [*_halves(block), *_halves(state.sequence.read())]
    keys = _halves(state.seed.read())
    for step in range(_ROUNDS):
        if step:
            keys = [arith.add(key, _constant(weyl, _UINT32)) for key, weyl in zip(keys, _WEYL, strict=True)]
        products = [
            arith.mul(arith.cast(counter[place], _UINT64), _constant(factor, _UINT64))
            for place, factor in zip((0, 2), _MULTIPLIERS, strict=True)
        ]
        (low0, high0), (low1, high1) = (_halves(product) for product in products)
        counter = [
            arith.bit_xor(arith.bit_xor(high1, counter[1]), keys[0]), low1,
            arith.bit_xor(arith.bit_xor(high0, counter[3]), keys[1]), low0,
        ]  # fmt: skip
    return counter
