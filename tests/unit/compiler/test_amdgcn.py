"""AMD code objects: finding the linker, reading metadata, what is refused."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.compiler import amdgcn, device_ir
from tilelang_mlir.compiler.amdgcn_unused import marked
from tilelang_mlir.compiler.resources import read_code_object
from tilelang_mlir.compiler.toolchain import lld, search
from tilelang_mlir.compiler.toolchain.code_object import metadata, undefined_symbols
from tilelang_mlir.errors import CompileError, ToolchainError
from tilelang_mlir.jit.compile import compile_prim_func


def fake_lld(path: Path, release: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho 'LLD {release} (compatible with GNU linkers)'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with no linkers but those a test puts into this ROCM_PATH."""
    monkeypatch.setattr(search, "package_roots", lambda package: [])
    monkeypatch.setattr(lld.shutil, "which", lambda name: None)
    monkeypatch.setattr(lld, "_INSTALLED", tmp_path / "installed")
    monkeypatch.setenv("ROCM_PATH", str(tmp_path / "rocm"))
    monkeypatch.delenv("TILELANG_LLD_PATH", raising=False)
    return tmp_path / "rocm"


def test_explicit_path_comes_first(only: Path, tmp_path: Path) -> None:
    usual = fake_lld(only / "llvm" / "bin" / "ld.lld", "19.0.0")
    chosen = fake_lld(tmp_path / "mine", "18.1.3")
    assert lld.find_lld("gfx942") == lld.Linker(str(usual), (19, 0))
    with knobs.overrides({"TILELANG_LLD_PATH": str(chosen)}):
        assert lld.find_lld("gfx942").path == str(chosen)


def test_error_names_the_release_and_every_place(only: Path) -> None:
    old = fake_lld(only / "llvm" / "bin" / "ld.lld", "14.0.6")
    with pytest.raises(ToolchainError, match=r"no ld\.lld of release 16 or newer to link code for gfx950") as caught:
        lld.find_lld("gfx950")
    notes = "\n".join(text for text, _ in caught.value.notes)
    rejected = f"ROCM_PATH: {old} is of release 14.0, too old"
    for part in (rejected, "installed/llvm/bin/ld.lld is not there", "PATH: ld.lld"):
        assert part in notes
    assert "TILELANG_LLD_PATH" in caught.value.hint


def test_compiling_without_a_linker(only: Path) -> None:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}), pytest.raises(ToolchainError, match=r"no ld\.lld"):
        compile_prim_func(printing(), target="hip:gfx942")


def test_a_linker_that_fails(tmp_path: Path) -> None:
    broken = fake_lld(tmp_path / "ld.lld", "18.0")
    broken.write_text("#!/bin/sh\necho 'ld.lld: error: unknown abi version' >&2\nexit 1\n")
    with pytest.raises(CompileError, match=r"ld\.lld exit status 1\nld\.lld: error: unknown abi version"):
        lld.link(b"\x7fELF", str(broken))


def printing() -> Any:
    @T.prim_func
    def show(A: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=64):
            t = T.get_thread_binding(0)
            T.device_assert(A[t] > -5.0, "too small")
            if t < 2:
                T.print(A[t], msg="value")

    return show


def test_print_and_assert_need_no_device_library() -> None:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        kernel = compile_prim_func(printing(), target="hip:gfx942")
    note = metadata(kernel.artifact.binary)
    assert any("value %f" in line for line in note["amdhsa.printf"])
    assert any("too small" in line for line in note["amdhsa.printf"])
    hidden = {a[".value_kind"]: a[".offset"] for a in note["amdhsa.kernels"][0][".args"]}
    assert hidden["hidden_printf_buffer"] == 8 + 72  # the place that the code reads
    assert undefined_symbols(kernel.artifact.binary) == []
    assert read_code_object(kernel.artifact.binary)["show_kernel"].stack == 0


def test_no_code_object() -> None:
    with pytest.raises(CompileError, match="not an ELF file"):
        metadata(b"nothing")
    assert read_code_object(b"") == {}


_TILES = """
declare <8 x float> @llvm.amdgcn.wmma.f32.16x16x16.f16.v8f32.v16f16(<16 x half>, <16 x half>, <8 x float>)
define amdgpu_kernel void @tiles(ptr addrspace(1) %p, ptr addrspace(1) %h) {{
  %a = load <16 x half>, ptr addrspace(1) %h
  {loads}
  {products}
  {stores}
  ret void
}}
"""
_SUM = """
define amdgpu_kernel void @sum(ptr addrspace(1) noalias %p, ptr addrspace(1) noalias readonly %q, i32 %n) {
entry:
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %next, %loop ]
  %place = getelementptr float, ptr addrspace(1) %q, i32 %i
  %x = load float, ptr addrspace(1) %place
  %s = load float, ptr addrspace(1) %p
  %t = fadd float %s, %x
  store float %t, ptr addrspace(1) %p
  %next = add i32 %i, 1
  %more = icmp slt i32 %next, %n
  br i1 %more, label %loop, label %end
end:
  ret void
}
"""


def tiles(count: int) -> str:
    """A kernel that holds so many accumulators of eight registers at a time."""
    name = "@llvm.amdgcn.wmma.f32.16x16x16.f16.v8f32.v16f16"
    place = "ptr addrspace(1) getelementptr (<8 x float>, ptr addrspace(1) null, i32 {0})"
    loads = [f"%c{i} = load volatile <8 x float>, {place.format(i)}" for i in range(count)]
    values = "(<16 x half> %a, <16 x half> %a, <8 x float> %c{0})"
    products = [f"%d{i} = call <8 x float> {name}{values.format(i)}" for i in range(count)]
    stores = [f"store volatile <8 x float> %d{i}, {place.format(i)}" for i in range(count)]
    return _TILES.format(**{k: "\n".join(v) for k, v in [("loads", loads), ("products", products), ("stores", stores)]})


def test_spills_are_seen_in_both_outputs_and_products_leave_no_option_behind() -> None:
    for count, spilled in ((4, False), (40, True)):
        text, code = amdgcn.emit_code(tiles(count), "gfx1100", 3, lambda stage: None, text=True, code=True)
        assert bool(amdgcn.SPILLS.search(text)) is spilled
        assert bool(amdgcn.SPILLS_IN_CODE.search(code)) is spilled
    text, _ = amdgcn.emit_code(_SUM, "gfx1100", 1, lambda stage: None, text=True, code=False)
    loop, end = text.index(".LBB0_1:"), text.index("s_cbranch")
    assert "global_store" not in text[loop:end], "the sum is kept in a register"


_PRODUCT = """
define amdgpu_kernel void @kernel(ptr addrspace(1) noalias %0, i32 %n) #0 {{
  %id = call i32 @llvm.amdgcn.workitem.id.x()
  {extra}
  br label %loop
loop:
  %i = phi i32 [ 0, %1 ], [ %next, %loop ]
  %s = phi <16 x float> [ zeroinitializer, %1 ], [ %t, %loop ]
  %t = call <16 x float> @llvm.amdgcn.mfma.f32.32x32x2f32(float 1.0, float 2.0, <16 x float> %s, i32 0, i32 0, i32 0)
  %next = add i32 %i, 1
  %more = icmp slt i32 %next, %n
  br i1 %more, label %loop, label %end
end:
  %p = getelementptr <16 x float>, ptr addrspace(1) %0, i32 %id
  store <16 x float> %t, ptr addrspace(1) %p
  ret void
}}
declare i32 @llvm.amdgcn.workitem.id.x()
declare <16 x float> @llvm.amdgcn.mfma.f32.32x32x2f32(float, float, <16 x float>, i32, i32, i32)
attributes #0 = {{ "amdgpu-flat-work-group-size"="256,256" }}
"""


def test_kernels_around_products_say_what_they_do_not_use() -> None:
    ir = _PRODUCT.format(extra="")
    text = marked(ir)
    assert text is not None and '"amdgpu-agpr-alloc"="0"' in text and '"amdgpu-no-workgroup-id-x"' in text
    assert "amdgpu-no-workitem-id-x" not in text
    assembly, _ = amdgcn.emit_code(ir, "gfx942", 1, lambda stage: None, text=True, code=False)
    assert ".agpr_count:     0" in assembly and "v_accvgpr" not in assembly and "v_mfma_f32_32x32x2" in assembly


@pytest.mark.parametrize("extra", [
    "%a = alloca [4 x i32], addrspace(5)", "%a = alloca i32, i32 4, addrspace(5)",
    "call void @other()", 'call void asm sideeffect "s_nop 0", ""()',
    "%f = addrspacecast ptr addrspace(1) %0 to ptr", "%q = call ptr addrspace(4) @llvm.amdgcn.implicitarg.ptr()",
])  # fmt: skip
def test_kernels_of_which_it_cannot_be_told(extra: str) -> None:
    assert marked(_PRODUCT.format(extra=extra)) is None


def _wmma_loop(bound: str, step: int) -> tuple[str, str]:
    """LLVM IR and assembly of a sum of products on gfx1100."""
    module = device_ir.parse(f"""module {{ gpu.module @m {{
      llvm.func @kernel(%p: !llvm.ptr<1> {{llvm.noalias}}, %n: i32) attributes {{
          gpu.kernel, rocdl.kernel, rocdl.flat_work_group_size = "32,32"}} {{
        %first = arith.constant 0 : i32
        %bound = {bound}
        %step = arith.constant {step} : i32
        %zero = arith.constant dense<0.0> : vector<8xf32>
        %sum = scf.for %i = %first to %bound step %step iter_args(%s = %zero) -> vector<8xf32> : i32 {{
          %q = llvm.getelementptr %p[%i] : (!llvm.ptr<1>, i32) -> !llvm.ptr<1>, vector<16xf16>
          %a = llvm.load %q : !llvm.ptr<1> -> vector<16xf16>
          %t = rocdl.wmma.f32.16x16x16.f16 %a, %a, %s : (vector<16xf16>, vector<16xf16>, vector<8xf32>) -> vector<8xf32>
          scf.yield %t : vector<8xf32>
        }}
        llvm.store %sum, %p : vector<8xf32>, !llvm.ptr<1>
        llvm.return
      }} }} }}""".encode())
    text = device_ir.to_llvm_ir(module, amdgcn.conversion("gfx1100"), line_info=False, lap=lambda stage: None)
    assembly, _ = amdgcn.emit_code(text, "gfx1100", 1, lambda stage: None, text=True, code=False)
    return text, assembly


@pytest.mark.parametrize("bound, step, equality", [
    ("arith.constant 12 : i32", 3, True),  # the value before the step takes no register: it is not tested
    ("arith.constant 12 : i32", 5, False), ("arith.constant 0 : i32", 1, False),
    ("arith.addi %n, %n : i32", 1, False),
])  # fmt: skip
def test_loops_that_reach_their_bound_end_there(bound: str, step: int, equality: bool) -> None:
    text, assembly = _wmma_loop(bound, step)
    assert ("icmp ne i32" in text, "icmp slt i32" in text) == (equality, not equality)
    assert amdgcn.is_plain(text) == equality
    assert ("v_wmma_f32_16x16x16_f16" in assembly) == (bound != "arith.constant 0 : i32")
