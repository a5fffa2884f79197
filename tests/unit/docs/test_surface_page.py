"""docs/surface.md holds every function of the reference pages."""

from __future__ import annotations

from pathlib import Path

import pytest

import tilelang_mlir.language as T
from tilelang_mlir.tools import surface_page
from tilelang_mlir.tools.surface_examples import INSTRUCTIONS, PAGES

# What the reference pages document, by page.
DOCUMENTED = {
    "allocate": "alloc_shared alloc_local alloc_fragment alloc_var alloc_barrier alloc_tmem alloc_reducer",
    "builtin": (
        "access_ptr create_tma_descriptor tma_load fence_proxy_async tma_store_arrive tma_store_wait set_max_nreg "
        "inc_max_nreg dec_max_nreg annotate_producer_reg_dealloc annotate_consumer_reg_alloc no_set_max_nreg "
        "disable_warp_group_reg_alloc ptx_arrive_cluster_barrier mbarrier_wait_parity mbarrier_arrive "
        "mbarrier_expect_tx warpgroup_arrive warpgroup_commit_batch warpgroup_wait get_lane_idx get_warp_idx_sync "
        "get_warp_idx get_warp_group_idx shuffle_elect warpgroup_fence_operand wait_wgmma barrier_wait barrier_arrive "
        "shfl_xor shfl_down shfl_up sync_threads sync_warp shfl_sync sync_global sync_grid initialize_wgmma_descriptor "
        "initialize_tcgen05_descriptor increase_descriptor_offset loop_break cp_async_barrier_noinc "
        "tcgen05_mma_arrive ptx_mma_sm70 ldg32 ldg64 ldg128 ldg256 stg32 stg64 stg128 stg256"
    ),
    "copy_op": "copy async_copy tma_copy c2d_im2col",
    "proxy": "ptr make_tensor",
}
CLASSES = "Buffer Tensor StridedTensor FragmentBuffer SharedBuffer LocalBuffer"


@pytest.mark.parametrize("page", DOCUMENTED)
def test_every_documented_function_has_an_example(page: str) -> None:
    assert set(DOCUMENTED[page].split()) - {"ptr"} == set(PAGES[page])
    names = set(DOCUMENTED[page].split())
    assert names <= set(T.__all__)


def test_the_classes_of_the_pages_are_names_of_the_language() -> None:
    assert set(CLASSES.split()) <= set(T.__all__)


def test_the_page_has_a_row_for_each_name() -> None:
    """That the rows are up to date is checked with the other generated pages."""
    text = (Path(__file__).parents[3] / "docs" / "surface.md").read_text()
    rows = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `T.")}
    assert rows == {f"T.{name}" for names in DOCUMENTED.values() for name in names.split()} - {"T.ptr"}


@pytest.mark.parametrize("page", PAGES)
def test_the_ptx_of_an_example_has_the_instruction_of_its_name(page: str) -> None:
    for name, body in PAGES[page].items():
        if name in INSTRUCTIONS:
            assert INSTRUCTIONS[name] in surface_page.ptx(body), name


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("T.sync_threads()", ["yes", "yes", "yes"]),
        ("T.inc_max_nreg(240)", ["no", "yes", "yes"]),
        ("T.ldg256(A[0])", ["no", "no", "yes"]),
        ("T.match_buffer(s)", ["-", "-", "-"]),
    ],
)
def test_support_is_what_the_compiler_says(body: str, expected: list[str]) -> None:
    assert list(surface_page.support(body).values()) == expected
