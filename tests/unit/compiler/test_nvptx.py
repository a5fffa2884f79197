"""Which LLVM passes run, and that private arrays still become registers. LLVM runs in this process: valid IR only."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tilelang_mlir.compiler import device_ir, nvptx

ARRAY = """
define ptx_kernel void @sums(ptr addrspace(1) %out, i32 %x) {
entry:
  %array = alloca [4 x i32], align 16
  br label %fill
fill:
  %i = phi i32 [ 0, %entry ], [ %next, %fill ]
  %place = getelementptr i32, ptr %array, i32 %i
  %value = mul i32 %i, %x
  store i32 %value, ptr %place, align 4
  %next = add i32 %i, 1
  %more = icmp slt i32 %next, 4
  br i1 %more, label %fill, label %sum
sum:
  %j = phi i32 [ 0, %fill ], [ %after, %sum ]
  %total = phi i32 [ 0, %fill ], [ %added, %sum ]
  %source = getelementptr i32, ptr %array, i32 %j
  %element = load i32, ptr %source, align 4
  %added = add i32 %total, %element
  %after = add i32 %j, 1
  %again = icmp slt i32 %after, 4
  br i1 %again, label %sum, label %end
end:
  store i32 %added, ptr addrspace(1) %out, align 4
  ret void
}
"""
PLAIN = """
define ptx_kernel void @plain(ptr addrspace(1) %out, i32 %x) {
  %variable = alloca i32, align 4
  %unused = mul i32 %x, 77
  %a = add i32 %x, 0
  %one = mul i32 %a, 3
  store i32 %x, ptr %variable, align 4
  %y = load i32, ptr %variable, align 4
  %two = mul i32 %y, 3
  %both = add i32 %one, %two
  store i32 %both, ptr addrspace(1) %out, align 4
  ret void
}
"""
PAIRS = """
define ptx_kernel void @pairs(ptr addrspace(1) %out, i32 %count) {
entry:
  br label %loop
loop:
  %sum = phi <2 x float> [ zeroinitializer, %entry ], [ %next, %loop ]
  %i = phi i32 [ 0, %entry ], [ %after, %loop ]
  %place = getelementptr <2 x float>, ptr addrspace(1) %out, i32 %i
  %pair = load volatile <2 x float>, ptr addrspace(1) %place, align 8
  %next = fadd <2 x float> %sum, %pair
  %after = add i32 %i, 1
  %more = icmp slt i32 %after, %count
  br i1 %more, label %loop, label %end
end:
  store <2 x float> %next, ptr addrspace(1) %out, align 8
  ret void
}
"""


@pytest.mark.parametrize("arch", ["sm_80", "sm_90a"])
def test_private_arrays_become_registers(arch: str) -> None:
    ptx = nvptx.emit_ptx(ARRAY, arch, 3, lambda stage: None)
    assert ".local" not in ptx
    assert "bra" not in ptx


def test_common_subexpressions_go_without_the_whole_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the whole pipeline runs")

    monkeypatch.setattr(nvptx.llvm.PassBuilder, "getModulePassManager", refuse)
    ptx = nvptx.emit_ptx(PLAIN, "sm_80", 3, lambda stage: None)
    assert ptx.count("mul") == 1 and ".local" not in ptx, "a variable is no array"
    with pytest.raises(AssertionError, match="whole pipeline"):
        nvptx.emit_ptx(ARRAY, "sm_80", 3, lambda stage: None)
    nvptx.emit_ptx(ARRAY, "sm_80", 0, lambda stage: None)


STEPS = """
define ptx_kernel void @steps(ptr addrspace(1) %out, i32 %x, i32 %y) {
  %some = add i32 %x, 4
  %next = add i32 %x, 5
  %first = mul i32 %some, %y
  %second = mul i32 %next, %y
  store volatile i32 %first, ptr addrspace(1) %out, align 4
  store volatile i32 %second, ptr addrspace(1) %out, align 4
  ret void
}
"""


@pytest.mark.parametrize(("instruction", "level"), [("fence.proxy.async", 2), ("wgmma.fence.sync.aligned", 3)])
def test_values_are_numbered_around_asynchronous_products(
    instruction: str, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[int] = []
    numberings: list[bool] = []
    machine, handful = nvptx.target_machine, nvptx.run_handful

    def note_level(arch: str, level: int) -> object:
        levels.append(level)
        return machine(arch, level)

    def note_numbering(module: object, builder: object, *, numbering: bool, long: bool) -> None:
        numberings.append(numbering)
        handful(module, builder, numbering=numbering, long=long)

    monkeypatch.setattr(nvptx, "target_machine", note_level)
    monkeypatch.setattr(nvptx, "run_handful", note_numbering)
    text = PLAIN.replace("  ret void", f'  call void asm sideeffect "{instruction};", ""()\n  ret void')
    assert instruction in nvptx.emit_ptx(text, "sm_90a", 3, lambda stage: None)
    assert levels == [level] and numberings == [level == 3]


def test_floats_are_added_in_pairs_where_the_machine_does() -> None:
    # By turns, since LLVM's option for it holds for the process.
    added = [nvptx.emit_ptx(PAIRS, arch, 3, lambda stage: None) for arch in ("sm_100a", "sm_120a", "sm_90a") * 2]
    assert ["add.rn.f32x2" in ptx for ptx in added] == [True, False, False] * 2
    for ptx in added[1:3]:
        assert len(re.findall(r"\badd\.rn\.f32\s", ptx)) == 2
        assert not re.search(r"\bmov\.b64\s[^\n]*\{", ptx), "pairs are carried around the loop"


def test_long_kernels_lose_constants_before_values_are_numbered(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[bool] = []
    whole = nvptx.run_handful

    def noted(module: Any, builder: Any, *, numbering: bool, long: bool) -> None:
        passes.append(long)
        whole(module, builder, numbering=numbering, long=long)

    monkeypatch.setattr(nvptx, "run_handful", noted)
    short = nvptx.emit_ptx(PLAIN, "sm_80", 3, lambda stage: None)
    monkeypatch.setattr(nvptx, "_LONG", len(PLAIN) - 1)
    assert nvptx.emit_ptx(PLAIN, "sm_80", 3, lambda stage: None) == short and passes == [False, True]


def test_products_are_not_rewritten_as_steps() -> None:
    """The pass that would make a sum of the second product compares all pairs of a block."""
    ptx = nvptx.emit_ptx(STEPS, "sm_90a", 1, lambda stage: None)
    assert len(re.findall(r"\bm(?:ul|ad)\.lo\.s32", ptx)) == 2


def test_vectors_of_two_dimensions_are_converted_by_a_pass_of_their_own() -> None:
    module = device_ir.parse(b"""module { gpu.module @m { llvm.func @kernel(%p: !llvm.ptr<1>, %a: vector<2xf32>) {
      %zero = arith.constant dense<0.0> : vector<2x2xf32>
      %rows = vector.insert %a, %zero[1] : vector<2xf32> into vector<2x2xf32>
      %columns = vector.transpose %rows, [1, 0] : vector<2x2xf32> to vector<2x2xf32>
      %first = vector.extract %columns[0] : vector<2xf32> from vector<2x2xf32>
      llvm.store %first, %p : vector<2xf32>, !llvm.ptr<1>
      llvm.return } } }""")
    text = device_ir.to_llvm_ir(module, nvptx.conversion("sm_80"), line_info=False, lap=lambda stage: None)
    ptx = nvptx.emit_ptx(text, "sm_80", 1, lambda stage: None)
    assert re.search(r"st\.global\.v2\.b32\s+\[%rd1\], \{0f00000000, %r1\}", ptx)
