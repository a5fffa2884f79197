"""Random numbers: a generator of each thread, with cuRAND's streams."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.errors import TileError, TileValueError, UnsupportedError
from tilelang_mlir.frontend import arith
from tilelang_mlir.frontend.builder import require
from tilelang_mlir.language.generators import GENERATORS, Generator
from tilelang_mlir.language.kernel import current_kernel, linear_thread


def rng_init(seed: Any, seq: Any = None, off: Any = 0, generator: str = "curandStatePhilox4_32_10_t") -> None:
    """Start the generator of each thread.

        T.rng_init(seed)
        A[bx * 128 + T.get_thread_binding()] = T.rng_rand_float()

    Args:
        seed: an integer. seq: the thread's stream (default: its index in the grid). off: numbers to skip.
        generator: "curandStatePhilox4_32_10_t", "curandStateXORWOW_t" or "curandStateMRG32k3a_t". Philox starts at
            once; the others go ahead to their stream and place, which takes some thousand instructions per bit of
            `seq` and `off` where these are not constant.

    Raises:
        UnsupportedError: another generator.
    """
    if generator not in GENERATORS:
        raise UnsupportedError(f"T.rng_init: generator {generator!r}", hint=f"one of {', '.join(GENERATORS)}")
    builder, kernel = current_kernel("T.rng_init")
    if seq is None:
        block: Any = 0
        for index, size in zip(reversed(kernel.indices), reversed(kernel.blocks), strict=True):
            block = arith.add(arith.mul(block, size), index)
        threads = kernel.threads[0] * kernel.threads[1] * kernel.threads[2]
        seq = arith.add(arith.mul(block, threads), linear_thread())
    launch = builder.require_launch("T.rng_init")
    builder.side["rng"] = (launch, GENERATORS[generator](seed, seq, off))


def rng_rand() -> Any:
    """The thread's next random word (uint32).

    Raises:
        TileError: the kernel has no `T.rng_init` before it.
    """
    return _generator("T.rng_rand").word()


def rng_rand_float(bit: int = 32, dist: str = "uniform") -> Any:
    """The thread's next random float of 32 or 64 bits: uniform in (0, 1], or normal with mean 0 and variance 1.

    Raises:
        TileValueError: another distribution, or another width. TileError: no `T.rng_init` before it.
    """
    if bit not in (32, 64) or dist not in ("uniform", "normal"):
        raise TileValueError(
            f"T.rng_rand_float(bit={bit}, dist={dist!r})", hint="32 or 64 bits; dist is 'uniform' or 'normal'"
        )
    generator = _generator("T.rng_rand_float")
    return generator.unit(bit) if dist == "uniform" else generator.normal(bit)


def _generator(what: str) -> Generator:
    builder = require(what)
    launch = builder.require_launch(what)
    owner, found = builder.side.get("rng", (None, None))
    if owner is not launch or found is None:
        raise TileError(f"{what} without T.rng_init before it in the kernel")
    return found
