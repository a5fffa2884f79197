"""Cross-entropy of logits against labels, forward: log(sum(exp(x))) - x[label] per row, each logit read once.

A block owns a row. Every thread keeps a maximum and a sum of its own, rescaled when the maximum grows, and the threads
meet once, after the sweep; rows may be of any length, such as a vocabulary. Labels equal to `ignore_index` give zero.

Shown here: a fragment whose layout is given (a row of it per thread, so that reductions stay inside a thread while
neighbouring threads load neighbouring 16 bytes), and the value that reads past the end of a row give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from support import Run, float64

import tilelang_mlir as tilelang
import tilelang_mlir.language as T

LOG2_E = 1.4426950408889634
LN_2 = 0.6931471805599453
IGNORED = -100


@tilelang.jit(out_idx=[-1])
def cross_entropy(M, V, dtype="bfloat16", threads=256, per_thread=32, ignore_index=IGNORED):
    block_V = threads * per_thread

    @T.prim_func
    def cross_entropy_rows(
        X: T.Tensor((M, V), dtype), labels: T.Tensor((M,), "int32"), loss: T.Tensor((M,), "float32")
    ):
        with T.Kernel(M, threads=threads) as row:
            packed = T.alloc_fragment((threads, per_thread), dtype)
            x = T.alloc_fragment((threads, per_thread), "float32")
            largest = T.alloc_fragment((threads,), "float32")
            previous = T.alloc_fragment((threads,), "float32")
            part = T.alloc_fragment((threads,), "float32")
            total = T.alloc_fragment((threads,), "float32")
            row_largest = T.alloc_fragment((1,), "float32")
            row_total = T.alloc_fragment((1,), "float32")
            T.annotate_layout({packed: T.Fragment((threads, per_thread), forward_fn=lambda i, j: (i, j))})
            T.annotate_safe_value({X: -T.infinity(dtype)})
            T.fill(largest, -1e38)  # finite: a thread may meet no logit at all
            T.clear(total)
            for k in T.serial(T.ceildiv(V, block_V)):
                for i, j in T.Parallel(threads, per_thread):
                    packed[i, j] = X[row, k * block_V + j // 8 * (8 * threads) + i * 8 + j % 8]
                T.copy(packed, x)
                T.copy(largest, previous)
                T.reduce_max(x, largest, dim=1, clear=False)
                for i, j in T.Parallel(threads, per_thread):
                    x[i, j] = T.exp2(x[i, j] * LOG2_E - largest[i] * LOG2_E)
                T.reduce_sum(x, part, dim=1)
                for i in T.Parallel(threads):
                    total[i] = total[i] * T.exp2((previous[i] - largest[i]) * LOG2_E) + part[i]
            T.reduce_max(largest, row_largest, dim=0)
            for i in T.Parallel(threads):
                total[i] = total[i] * T.exp2((largest[i] - row_largest[0]) * LOG2_E)
            T.reduce_sum(total, row_total, dim=0)
            for i in T.Parallel(1):
                label = labels[row]
                counts = label != ignore_index
                logit = T.cast(X[row, T.if_then_else(counts, label, 0)], "float32")
                loss[row] = T.if_then_else(counts, T.log2(row_total[i]) * LN_2 + row_largest[i] - logit, 0.0)

    return cross_entropy_rows


def reference(x: np.ndarray, labels: np.ndarray) -> np.ndarray:
    top = x.max(axis=1)
    logits = x[np.arange(len(x)), np.maximum(labels, 0)]
    return np.where(labels == IGNORED, 0, np.log(np.exp(x - top[:, None]).sum(axis=1)) + top - logits)


def measure(run: Run, M: int, V: int, threads: int, per_thread: int) -> None:
    kernel = run.kernel(cross_entropy, M, V, run.dtype, threads, per_thread)
    if run.compile_only:
        return
    x = run.random((M, V), run.dtype, 3.0)
    labels = np.random.default_rng(1).integers(0, V, M, np.int32)
    labels[:: max(2, M // 7)] = IGNORED
    on_device, rows = run.on_device(labels), run.rows(M)
    got = kernel(x, on_device)[rows]
    run.check(f"cross_entropy {M}x{V} {run.dtype}", got, reference(float64(x[rows]), labels[rows]), "float32")

    def peer() -> Any:
        from torch.nn.functional import cross_entropy as torch_cross_entropy

        return torch_cross_entropy(x, wide, reduction="none")

    wide = on_device.long() if run.on_gpu else None
    run.time(lambda: kernel(x, on_device), peer, bytes_moved=M * V * 2)


def main(argv: Sequence[str] | None = None) -> Run:
    run = Run(__doc__, argv)
    small = [(5, 3001, 128, 16), (3, 100, 128, 8), (2, 4096, 256, 16)]
    real = [(4096, 128256, 256, 32), (8192, 32000, 256, 32)]  # the vocabularies of Llama-3 and Llama-2
    for case in run.pick(small, real):
        measure(run, *case)
    return run


if __name__ == "__main__":
    main()
