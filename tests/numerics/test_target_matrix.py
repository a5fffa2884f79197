"""Every row of docs/kernel_matrix.md: simulator and evaluator agree, and the page has what is compiled now."""

from __future__ import annotations

import pytest

from tests.util import target_matrix

PAGE = target_matrix.PAGE.read_text()


@pytest.mark.parametrize("kernel", target_matrix.SMALL)
def test_simulated_on_every_target(kernel: str) -> None:
    for arch in target_matrix.targets_of(kernel):
        assert target_matrix.simulate(kernel, arch) < 1e-2


@pytest.mark.parametrize("kernel", target_matrix.PROGRAMS)
def test_rows_are_up_to_date(kernel: str) -> None:
    """Exact where the code generator comes with the package; registers of NVIDIA targets depend on the ptxas."""
    for arch in target_matrix.targets_of(kernel):
        if arch in target_matrix.AMD:
            assert target_matrix.row(kernel, arch) in PAGE, "run python -m tests.util.target_matrix"
        assert PAGE.count(f"| {kernel} | {arch} |") == 1


@pytest.mark.parametrize("arch", target_matrix.NVIDIA)
def test_products_of_nvidia_targets(arch: str) -> None:
    """The instruction that a target is there for, and nothing in local memory."""
    wanted = {"sm_80": "m16n8k16", "sm_90a": "wgmma.mma_async", "sm_120a": "m16n8k16"}.get(arch, "tcgen05.mma")
    built = target_matrix.build("gemm_bias_relu", arch)
    assert set(built.products) == {wanted} and built.resources.spills == built.resources.stack == 0
    line = next(x for x in PAGE.splitlines() if f"| gemm_bias_relu | {arch} |" in x)
    assert f" {wanted} |" in line and built.blocks >= 1  # how many follows from the schedule, and from the ptxas
