"""The examples for tensor memory: in the simulator against float64, and as machine code for what it must contain."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hopper_programs import check, f64, poisoned, random
from tensor_programs import compiled, example, instructions

from tilelang_mlir import knobs


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with knobs.overrides({"TILELANG_SIM_CHECKED": True, "TILELANG_DISABLE_CACHE": True}):
        yield


@pytest.mark.parametrize("seed", [0, 1])
def test_persistent_product(seed: int) -> None:
    M, N, K = 264, 136, 200
    a, b, c = random((M, K)), random((N, K), seed=1), poisoned((M, N), "float16")
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        compiled(example("gemm_persistent").gemm_persistent(M, N, K, blocks=2, num_stages=2))(a, b, c)
    check(c, f64(a) @ f64(b).T, "float16")


@pytest.mark.parametrize("seed", [0, 1])
def test_launch_control(seed: int) -> None:
    """Six tiles, of which three blocks start and take over the others."""
    M, N, K = 264, 136, 136
    a, b, c = random((M, K)), random((N, K), seed=1), poisoned((M, N), "float16")
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        compiled(example("gemm_launch_control").gemm_launch_control(M, N, K, num_stages=2))(a, b, c)
    check(c, f64(a) @ f64(b).T, "float16")


@pytest.mark.parametrize(("name", "seed"), [("attention", 0), ("attention", 1), ("attention_roles", 2)])
def test_attention(name: str, seed: int) -> None:
    S, heads, D = 200, 1, 64
    q, k, v = (random((heads, S, D), seed=i) for i in range(3))
    out = poisoned((heads, S, D), "float16")
    with knobs.overrides({"TILELANG_SIM_SEED": seed}):
        compiled(getattr(example("attention"), name)(S, heads, D))(q, k, v, out)
    scores = f64(q) @ f64(k).transpose(0, 2, 1) / np.sqrt(D)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    check(out, weights / weights.sum(axis=2, keepdims=True) @ f64(v), "float16")


@pytest.mark.parametrize("arch", ["sm_100a", "sm_103a"])
def test_machine_code(arch: str) -> None:
    """Roles as bulk copies, products and loads of tensor memory; nothing spilled."""
    gemm = example("gemm_persistent").gemm_persistent(4096, 4096, 4096)
    attention, roles = (getattr(example("attention"), name)(4096, 16) for name in ("attention", "attention_roles"))
    asking = example("gemm_launch_control").gemm_launch_control(4096, 4096, 4096)
    for program in (gemm, attention, roles, asking):
        kernel = compiled(program, f"cuda:{arch}")
        assert kernel.artifact.binary[:4] == b"\x7fELF" and kernel.n_spills == 0
        assert all(used.stack == 0 for used in kernel.resources.values())
    if arch == "sm_100a":  # the disassembler at hand does not know sm_103a
        found = instructions(gemm)
        assert found["UTCHMMA"] == 4 and found["UTMALDG"] and found["UTMASTG"] and found["LDTM"]
        assert not found["HMMA"] + found["STL"] + found["LDL"]
        found = instructions(asking)
        assert found["UTCHMMA"] == 4 and found["UGETNEXTWORKID"] and found["UTMALDG"] and not found["STL"]
        found = instructions(attention)
        assert found["UTCHMMA"] >= 8 and found["STTM"] and found["LDTM"] and not found["HMMA"]
