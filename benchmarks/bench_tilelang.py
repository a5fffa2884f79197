"""The same programs through TileLang and through this compiler: python benchmarks/bench_tilelang.py [--quick]

Needs TileLang (and the nvcc that it calls) beside this package. The source of each program is compiled once with either
`T`; both get the same configurations, each is checked, and the best of each is timed in one interleaved run. Products
of bfloat16 get the two configurations that were each package's fastest for float16. Rows: time to compile, host time of
a call, matrix products, attention. `ratio` is TileLang's time over ours.
"""

from __future__ import annotations

import compileall
import importlib.util
import time
from collections.abc import Callable, Sequence
from typing import Any

from harness import Report, arguments, compare, host_time, relative_error, require

Factory = Callable[..., Any]

# block_M, block_N, block_K, stages, threads
GEMM_CONFIGS = [(128, 256, 64, 3, 256), (128, 256, 64, 4, 256), (256, 128, 64, 3, 256), (128, 128, 64, 4, 256)]
FEW_ROWS_CONFIGS = [(64, 64, 128, 4, 128), (64, 128, 64, 4, 128), (64, 128, 128, 3, 128), (64, 64, 64, 8, 128)]
GEMM_SHAPES = [
    (4096, 4096, 4096), (8192, 8192, 8192), (8192, 8192, 256), (8192, 8192, 1024), (8192, 8192, 16384),
    (4096, 28672, 8192), (4096, 8192, 28672), (4096, 2112, 7168), (64, 8192, 8192),
]  # fmt: skip
TOLERANCE = {"float16": 2e-3, "bfloat16": 1e-2}
# block_M, block_N, stages, threads
ATTENTION_CONFIGS = [(128, 128, 2, 256), (128, 64, 2, 256)]
ATTENTION_CASES = [(4, 4096, False), (1, 16384, False), (4, 4096, True), (1, 16384, True)]  # batch, S, causal
HEADS, D = 16, 128


def modules() -> dict[str, tuple[Any, Any]]:
    """The packages to compare, with their languages; as byte code, which installed packages are."""
    for name in ("tilelang", "tilelang_mlir"):
        spec = importlib.util.find_spec(name)
        for folder in spec.submodule_search_locations or () if spec is not None else ():
            compileall.compile_dir(folder, quiet=2)
    import tilelang

    import tilelang_mlir

    tilelang.disable_cache()
    tilelang_mlir.disable_cache()
    return {"ours": (tilelang_mlir, tilelang_mlir.language), "tilelang": (tilelang, tilelang.language)}


def add_factory(tilelang: Any, T: Any) -> Factory:
    """Addition of two vectors of `blocks` times 1024 elements."""

    @tilelang.jit
    def build(blocks):
        n = 1024 * blocks

        @T.prim_func
        def add(A: T.Tensor((n,), "float32"), B: T.Tensor((n,), "float32"), C: T.Tensor((n,), "float32")):
            with T.Kernel(T.ceildiv(n, 1024), threads=256) as bx:
                for i in T.Parallel(1024):
                    C[bx * 1024 + i] = A[bx * 1024 + i] + B[bx * 1024 + i]

        return add

    return build


def gemm_factory(tilelang: Any, T: Any) -> Factory:
    """C = A @ B^T with one tile of the result for each CTA."""

    @tilelang.jit(out_idx=[-1])
    def build(M, N, K, dtype, block_M, block_N, block_K, stages, threads):
        @T.prim_func
        def gemm(A: T.Tensor((M, K), dtype), B: T.Tensor((N, K), dtype), C: T.Tensor((M, N), dtype)):
            with T.Kernel(T.ceildiv(N, block_N), T.ceildiv(M, block_M), threads=threads) as (bx, by):
                A_shared = T.alloc_shared((block_M, block_K), dtype)
                B_shared = T.alloc_shared((block_N, block_K), dtype)
                acc = T.alloc_fragment((block_M, block_N), "float32")
                C_shared = T.alloc_shared((block_M, block_N), dtype)
                T.use_swizzle(10)
                T.clear(acc)
                for k in T.Pipelined(T.ceildiv(K, block_K), num_stages=stages):
                    T.copy(A[by * block_M, k * block_K], A_shared)
                    T.copy(B[bx * block_N, k * block_K], B_shared)
                    T.gemm(A_shared, B_shared, acc, transpose_B=True)
                T.copy(acc, C_shared)
                T.copy(C_shared, C[by * block_M, bx * block_N])

        return gemm

    return build


def attention_factory(tilelang: Any, T: Any) -> Factory:
    """softmax(Q K^T / sqrt(D)) V of (batch, S, heads, D) tensors."""

    @tilelang.jit(out_idx=[3], pass_configs={"tl.enable_fast_math": True})
    def build(batch, S, causal, block_M, block_N, stages, threads):
        scale = D**-0.5 * 1.44269504

        @T.prim_func
        def attention(
            Q: T.Tensor((batch, S, HEADS, D), "float16"), K: T.Tensor((batch, S, HEADS, D), "float16"),
            V: T.Tensor((batch, S, HEADS, D), "float16"), Out: T.Tensor((batch, S, HEADS, D), "float16"),
        ):  # fmt: skip
            with T.Kernel(T.ceildiv(S, block_M), HEADS, batch, threads=threads) as (bx, by, bz):
                Q_shared = T.alloc_shared((block_M, D), "float16")
                K_shared = T.alloc_shared((block_N, D), "float16")
                V_shared = T.alloc_shared((block_N, D), "float16")
                O_shared = T.alloc_shared((block_M, D), "float16")
                s = T.alloc_fragment((block_M, block_N), "float32")
                p = T.alloc_fragment((block_M, block_N), "float16")
                o = T.alloc_fragment((block_M, D), "float32")
                m = T.alloc_fragment((block_M,), "float32")
                before = T.alloc_fragment((block_M,), "float32")
                alpha = T.alloc_fragment((block_M,), "float32")
                part = T.alloc_fragment((block_M,), "float32")
                total = T.alloc_fragment((block_M,), "float32")
                T.copy(Q[bz, bx * block_M : (bx + 1) * block_M, by, :], Q_shared)
                T.fill(o, 0)
                T.fill(total, 0)
                T.fill(m, -T.infinity("float32"))
                count = T.ceildiv((bx + 1) * block_M, block_N) if causal else T.ceildiv(S, block_N)
                for k in T.Pipelined(count, num_stages=stages):
                    T.copy(K[bz, k * block_N : (k + 1) * block_N, by, :], K_shared)
                    if causal:
                        for i, j in T.Parallel(block_M, block_N):
                            s[i, j] = T.if_then_else(bx * block_M + i >= k * block_N + j, 0, -T.infinity("float32"))
                    else:
                        T.clear(s)
                    T.gemm(Q_shared, K_shared, s, transpose_B=True, policy=T.GemmWarpPolicy.FullRow)
                    T.copy(m, before)
                    T.reduce_max(s, m, dim=1, clear=False)
                    for i in T.Parallel(block_M):
                        alpha[i] = T.exp2(before[i] * scale - m[i] * scale)
                    for i, j in T.Parallel(block_M, block_N):
                        s[i, j] = T.exp2(s[i, j] * scale - m[i] * scale)
                    T.reduce_sum(s, part, dim=1)
                    for i in T.Parallel(block_M):
                        total[i] = total[i] * alpha[i] + part[i]
                    T.copy(s, p)
                    for i, j in T.Parallel(block_M, D):
                        o[i, j] *= alpha[i]
                    T.copy(V[bz, k * block_N : (k + 1) * block_N, by, :], V_shared)
                    T.gemm(p, V_shared, o, policy=T.GemmWarpPolicy.FullRow)
                for i, j in T.Parallel(block_M, D):
                    o[i, j] /= total[i]
                T.copy(o, O_shared)
                T.copy(O_shared, Out[bz, bx * block_M : (bx + 1) * block_M, by, :])

        return attention

    return build


Configs = Sequence[tuple[int, ...]]


def ranked(
    name: str, build: Factory, shape: tuple[Any, ...], configs: Configs, inputs: Sequence[Any],
    error: Callable[[Any], float], tolerance: float,
) -> list[tuple[float, Any, tuple[int, ...], float]]:  # fmt: skip
    """The right kernels of one package, the fastest first: time, kernel, configuration, seconds of its compilation."""
    found: list[tuple[float, Any, tuple[int, ...], float]] = []
    for config in configs:
        started = time.perf_counter()
        try:
            kernel = build(*shape, *config)
        except Exception as failure:
            print(f"{name} {config}: {type(failure).__name__}: {str(failure)[:100]}")
            continue
        seconds = time.perf_counter() - started
        require(f"{name} {config}", error(kernel(*inputs)), tolerance)
        found.append((compare({name: lambda kernel=kernel: kernel(*inputs)}, 0.03)[name], kernel, config, seconds))
    return sorted(found, key=lambda entry: entry[0])


def duel(
    report: Report, case: str, factories: dict[str, Factory], shape: tuple[Any, ...], configs: dict[str, Configs],
    inputs: Sequence[Any], work: float, error: Callable[[Any], float], tolerance: float = 2e-3,
) -> dict[str, Configs]:  # fmt: skip
    """Add a row: the best of each package on one case of `work` floating-point operations. Returns the configurations
    of each package, the fastest first."""
    ranks = {
        name: ranked(name, build, shape, configs[name], inputs, error, tolerance) for name, build in factories.items()
    }
    chosen = {name: entries[0][1:] for name, entries in ranks.items()}
    times = compare({name: lambda kernel=kernel: kernel(*inputs) for name, (kernel, _, _) in chosen.items()})
    report.add(
        case=case, config="x".join(map(str, chosen["ours"][1])),
        tilelang_config="x".join(map(str, chosen["tilelang"][1])),
        compile_s=chosen["ours"][2], tilelang_compile_s=chosen["tilelang"][2],
        tflops=work * 1e-9 / times["ours"], tilelang_tflops=work * 1e-9 / times["tilelang"],
        ratio=times["tilelang"] / times["ours"],
    )  # fmt: skip
    return {name: [config for _, _, config, _ in entries] for name, entries in ranks.items()}


def gemms(report: Report, packages: dict[str, tuple[Any, Any]], shapes: Sequence[tuple[int, int, int]]) -> None:
    import torch

    factories = {name: gemm_factory(*pair) for name, pair in packages.items()}
    for M, N, K in shapes:
        configs: dict[str, Configs] = dict.fromkeys(factories, GEMM_CONFIGS if M > 64 else FEW_ROWS_CONFIGS)
        for dtype, tolerance in TOLERANCE.items():
            a, b = (torch.randn(rows, K, device="cuda", dtype=getattr(torch, dtype)) for rows in (M, N))
            want = a[:256].double() @ b.double().T

            def error(got: Any, want: Any = want) -> float:
                return relative_error(got[:256], want)

            ranks = duel(
                report, f"gemm {M}x{N}x{K} {dtype}", factories, (M, N, K, dtype), configs, (a, b), 2 * M * N * K,
                error, tolerance,
            )  # fmt: skip
            configs = {name: order[:2] for name, order in ranks.items()}


def attentions(report: Report, packages: dict[str, tuple[Any, Any]], cases: Sequence[tuple[int, int, bool]]) -> None:
    import torch

    factories = {name: attention_factory(*pair) for name, pair in packages.items()}
    for batch, S, causal in cases:
        q, k, v = (torch.randn(batch, S, HEADS, D, device="cuda", dtype=torch.float16) for _ in range(3))
        scores = q[-1, -256:, -1].double() @ k[-1, :, -1].double().T * D**-0.5
        if causal:
            rows = torch.arange(S - 256, S, device="cuda")
            scores = scores.masked_fill(torch.arange(S, device="cuda")[None, :] > rows[:, None], float("-inf"))
        want = scores.softmax(-1) @ v[-1, :, -1].double()

        def error(got: Any, want: Any = want) -> float:
            return relative_error(got[-1, -256:, -1], want)

        work = 4 * batch * HEADS * S * S * D * (0.5 if causal else 1)
        case = f"attention {'causal' if causal else 'full'} B={batch} S={S}"
        configs: dict[str, Configs] = dict.fromkeys(factories, ATTENTION_CONFIGS)
        duel(report, case, factories, (batch, S, causal), configs, (q, k, v), work, error)


def launches(report: Report, packages: dict[str, tuple[Any, Any]]) -> None:
    """Rows: seconds to compile an addition, as the first kernel of a process, for which either package loads what
    compiles, and later; and microseconds of host time per call."""
    import torch

    a, b = torch.randn(2, 1024, device="cuda").unbind()
    calls: dict[str, Callable[[], Any]] = {}
    for name, pair in packages.items():
        build, seconds = add_factory(*pair), list[float]()
        for blocks in (4, 3, 2, 1):
            started = time.perf_counter()
            kernel = build(blocks)
            seconds.append(time.perf_counter() - started)
        c = torch.full_like(a, float("nan"))
        kernel(a, b, c)
        require(name, relative_error(c, a + b), 1e-6)
        calls[name] = lambda kernel=kernel, c=c: kernel(a, b, c)
        report.add(what=f"first kernel of a process, an addition: {name}", seconds=seconds[0])
        report.add(what=f"compile another addition: {name}", seconds=min(seconds[1:]))
    for name, microseconds in host_time(calls).items():
        report.add(what=f"call with three tensors: {name}", microseconds=microseconds)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(__doc__, argv, "quick")
    if importlib.util.find_spec("tilelang") is None:
        print("TileLang is not installed: nothing to compare with")
        return 0
    report, packages = Report("tilelang", options.out), modules()
    launches(report, packages)
    gemms(report, packages, GEMM_SHAPES[:1] if options.quick else GEMM_SHAPES)
    attentions(report, packages, ATTENTION_CASES[:1] if options.quick else ATTENTION_CASES)
    report.save()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
