"""Every row of docs/kernel_matrix.md: simulator and evaluator agree, and the page has a row for it."""

from __future__ import annotations

import importlib

import pytest

from tests.util import target_matrix

PAGE = target_matrix.PAGE.read_text()


@pytest.mark.parametrize("kernel", [name for name in target_matrix.SMALL if name not in target_matrix.COMPUTED])
def test_simulated_on_every_target(kernel: str) -> None:
    """But sm_103a, whose programs are those of sm_100a, and of examples what `test_examples` simulates. Programs of
    roles are those of `test_blackwell_examples` and `test_tensor_pairs`."""
    examples = importlib.import_module("tests.numerics.test_examples")
    elsewhere = examples.TARGETS if any(name[3:] == kernel for name in examples.EXAMPLES) else ()
    for arch in target_matrix.targets_of(kernel):
        if arch != "sm_103a" and arch not in elsewhere:
            assert target_matrix.simulate(kernel, arch) < 1e-2


@pytest.mark.parametrize("kernel", target_matrix.PROGRAMS)
def test_there_is_a_row_for_every_target(kernel: str) -> None:
    """`test_amd` compares those of AMD, where it compiles; registers of NVIDIA targets depend on the ptxas."""
    for arch in target_matrix.targets_of(kernel):
        assert PAGE.count(f"| {kernel} | {arch} |") == 1


@pytest.mark.parametrize("arch", target_matrix.NVIDIA)
def test_products_of_nvidia_targets(arch: str) -> None:
    """The instruction that a target is there for, and nothing in local memory."""
    wanted = {"sm_80": "m16n8k16", "sm_90a": "wgmma.mma_async", "sm_120a": "m16n8k16"}.get(arch, "tcgen05.mma")
    built = target_matrix.build("gemm_bias_relu", arch)
    assert set(built.products) == {wanted} and built.resources.spills == built.resources.stack == 0
    line = next(x for x in PAGE.splitlines() if f"| gemm_bias_relu | {arch} |" in x)
    assert f" {wanted} |" in line and built.blocks >= 1  # how many follows from the schedule, and from the ptxas
