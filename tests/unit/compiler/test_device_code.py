"""Device code that programs bring along: PTX, LLVM IR and CUDA C++."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tilelang_mlir as tilelang
import tilelang_mlir.language as T
from tilelang_mlir import knobs
from tilelang_mlir.compiler.device_code import DeviceCode, Extern, add_to_ptx, headers, splice, wrappers
from tilelang_mlir.compiler.toolchain import nvrtc
from tilelang_mlir.errors import CompileError, TileTypeError, TileValueError, UnsupportedError

PTX = """
.version 8.7
.visible .func (.param .b32 r) triple(.param .b32 x)
{
 .reg .b32 %a<3>;
 ld.param.b32 %a1, [x];
 mul.lo.s32 %a2, %a1, 3;
 st.param.b32 [r], %a2;
 ret;
}
"""
LLVM = """
define void @double_it(ptr %p, ptr %q, i16 %n) {
  %v = load float, ptr %p
  %w = fmul float %v, 2.0
  store float %w, ptr %q
  ret void
}
"""
CPP = "template <typename A> __device__ void add_one(A *a, int n) { for (int i = 0; i < n; ++i) a[i] += 1; }\n"


@pytest.fixture(autouse=True)
def no_cache() -> Any:
    with knobs.overrides({"TILELANG_DISABLE_CACHE": True}):
        yield


def program(source: str, *, prelude: bool = False) -> Any:
    @T.prim_func
    def main(X: T.Tensor((64,), "float32"), Z: T.Tensor((64,), "int32")):
        with T.Kernel(1, threads=32, prelude=source if prelude else None) as _:
            if not prelude:
                T.import_source(source)
            tx = T.get_thread_binding()
            own = T.alloc_local((2,), "float32")
            if "triple" in source:
                Z[tx] = T.call_extern("int32", "triple", Z[tx])
            elif "double_it" in source:
                own[0] = X[tx]
                T.call_extern("handle", "double_it", T.access_ptr(own, "r"), T.access_ptr(X[tx + 32], "w"), T.int16(1))
            else:
                own[0] = X[tx]
                T.call_extern("handle", "add_one", own[0:2], 2)
                X[tx] = own[0]

    return main


@pytest.mark.parametrize("prelude", [False, True])
def test_ptx_is_put_beside_the_kernel(prelude: bool) -> None:
    ptx = tilelang.compile(program(PTX, prelude=prelude), target="sm_90a").get_kernel_source()
    assert ptx.count(".func") == 1 and "call.uni (retval0), triple, (param0);" in ptx
    assert ptx.count(".version") == 1 and ".version 8.7" in ptx and ".extern" not in ptx


def test_llvm_ir_is_inlined(tmp_path: Path) -> None:
    """Here from a file, whose name stands for its text."""
    file = tmp_path / "double.ll"
    file.write_text(LLVM)

    @T.prim_func
    def main(X: T.Tensor((64,), "float32")):
        with T.Kernel(1, threads=32) as _:
            T.import_source(str(file))
            tx = T.get_thread_binding()
            T.call_pure_extern("void", "double_it", X[tx : tx + 1], T.address_of(X[tx + 32]), T.int16(1))

    ptx = tilelang.compile(main, target="sm_90a").get_kernel_source()
    assert "call" not in ptx and "add.rn.f32" in ptx and "double_it" not in ptx
    assert "add.rn.f32" in tilelang.compile(program(LLVM), target="sm_80").get_kernel_source()


def test_cpp_needs_nvrtc(monkeypatch: pytest.MonkeyPatch) -> None:
    if nvrtc.library() is None:
        with pytest.raises(CompileError, match="CUDA C\\+\\+ device code needs NVRTC, which is not installed"):
            tilelang.compile(program(CPP), target="sm_90a")
    else:
        ptx = tilelang.compile(program(CPP), target="sm_90a").get_kernel_source()
        assert "tl_extern_add_one" in ptx


def test_wrappers_call_with_the_types_of_the_arguments() -> None:
    externs = [Extern("f", ("float16*", "int32"), "bfloat16"), Extern("g", ("uint8",), "")]
    *_, first, second = wrappers(externs).splitlines()
    assert first == (
        'extern "C" __device__ __nv_bfloat16 tl_extern_f(__half * a0, int a1) { '
        'return tl_result<__nv_bfloat16>((f(a0, a1), tl_none())); }'
    )
    assert second == 'extern "C" __device__ void tl_extern_g(unsigned char a0) { g(a0); }'
    assert headers(externs) == ["cuda_bf16.h", "cuda_fp16.h"]
    with pytest.raises(CompileError, match="C\\+\\+ has no type for float6_e2m3fn"):
        wrappers([Extern("f", ("float6_e2m3fn",), "")])


def test_splice_takes_the_place_of_declarations() -> None:
    declared = ".extern .func f\n(\n.param .b32 p\n)\n;\n"
    kernel = f".version 8.0\n.target sm_80\n.address_size 64\n{declared}.entry k() {{ call f; }}"
    text = splice(kernel, [".version 7.5\n.target sm_70\n.address_size 64\n.func f(.param .b32 p) { ret; }"], ["f"])
    assert text.count(".func") == 1 and text.index(".func f") < text.index(".entry") and ".version 8.0" in text
    assert not DeviceCode()


def test_wrong_use() -> None:
    with pytest.raises(CompileError, match="no source defines quadruple, which the kernel calls"):

        @T.prim_func
        def main(Z: T.Tensor((64,), "int32")):
            with T.Kernel(1, threads=32) as _:
                T.import_source(PTX)
                Z[0] = T.call_extern("int32", "quadruple", Z[0])

        tilelang.compile(main, target="sm_90a")
    with pytest.raises(UnsupportedError, match="the simulator does not run device code of other languages: @triple"):
        tilelang.compile(program(PTX), target="sim:sm_90a")(np.zeros(64, np.float32), np.zeros(64, np.int32))
    wrong: Any = 3
    with pytest.raises(TileTypeError, match="device code is given as text, got int"):

        @T.prim_func
        def number(Z: T.Tensor((64,), "int32")):
            with T.Kernel(1, threads=32) as _:
                T.import_source(wrong)
                Z[0] = 1

    with pytest.raises(TileTypeError, match="takes no address in fragment memory"):

        @T.prim_func
        def fragment(Z: T.Tensor((64,), "int32")):
            with T.Kernel(1, threads=32) as _:
                f = T.alloc_fragment((64,), "int32")
                T.call_extern("handle", "f", f)

    with pytest.raises(TileValueError, match="needs the name of a function, got 'a b'"):

        @T.prim_func
        def name(Z: T.Tensor((64,), "int32")):
            with T.Kernel(1, threads=32) as _:
                T.call_extern("handle", "a b", Z)


def test_templates_and_namespaces() -> None:
    """Every instance is a function of its own, which only C++ has."""
    (line,) = wrappers([Extern("n::f<3>", ("int32",), "", "n_f_3_1")]).splitlines()
    assert line == 'extern "C" __device__ void tl_extern_n_f_3_1(int a0) { n::f<3>(a0); }'
    head = ".version 8.6\n.target sm_90a\n.address_size 64\n"

    def using(source: str) -> Any:
        @T.prim_func
        def main(X: T.Tensor((64,), "float32")):
            with T.Kernel(1, threads=64) as _:
                T.import_source(source)
                tx = T.get_thread_binding()
                X[tx] = T.call_extern("float32", "tools::scaled<3>", X[tx])
                X[tx] += T.call_extern("float32", "tools::scaled<int, -4>", X[tx])

        return main

    cpp = "namespace tools { template <int N> __device__ float scaled(float x) { return N * x; }\n" \
          "template <class T, T N> __device__ float scaled(float x) { return N * x; } }"
    with pytest.raises(CompileError, match=r"no source of C\+\+ defines tools::scaled<"):
        tilelang.compile(using(head + ".visible .func scaled() { ret; }"), target="sm_80")
    if nvrtc.library() is not None:
        ptx = tilelang.compile(using(cpp), target="sm_80").get_kernel_source()
        assert len(set(re.findall(r"\b(tl_extern_tools_scaled_\w+_[0-9a-f]{8})\b", ptx))) == 2


def test_cpp_comes_in_the_version_of_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a newer NVRTC writes is put into PTX that the installed ptxas reads; the calls have the wrapper's name."""
    asked: list[str] = []

    def compiled(source: str, arch: str) -> str:
        asked.append(source)
        return ".version 9.9\n.target sm_90a\n.address_size 64\n.visible .func tl_extern_f() { ret; }\n"

    monkeypatch.setattr(nvrtc, "compile_ptx", compiled)
    code = DeviceCode(cpp=("__device__ void f(int) {}",), externs=(Extern("f", ("int32",), ""),))
    head = ".version 8.6\n.target sm_90a\n.address_size 64\n"
    kernel = head + ".extern .func f\n(\n.param .b32 p\n)\n;\n.entry k() { call f; }"
    text = add_to_ptx(kernel, code, "sm_90a")
    assert ".version 8.6" in text and "9.9" not in text and "call tl_extern_f;" in text and ".extern" not in text
    assert asked[0].splitlines()[-1] == 'extern "C" __device__ void tl_extern_f(int a0) { f(a0); }'


ENTRY = """
.version 8.0
.target sm_80
.address_size 64
.visible .entry copy_all(.param .u64 a, .param .u64 b, .param .u32 n)
{
 .reg .b32 %r<6>; .reg .b64 %d<8>; .reg .pred %p;
 ld.param.u32 %r1, [n];
 mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x; mov.u32 %r4, %tid.x;
 mad.lo.s32 %r5, %r2, %r3, %r4;
 setp.ge.u32 %p, %r5, %r1;
 @%p ret;
 ld.param.u64 %d1, [a]; ld.param.u64 %d2, [b];
 mul.wide.u32 %d3, %r5, 4;
 add.s64 %d4, %d1, %d3; add.s64 %d5, %d2, %d3;
 ld.global.b32 %r1, [%d4];
 st.global.b32 [%d5], %r1;
 ret;
}
"""


def source_kernel(source: str, entry: str) -> Any:
    N = T.dynamic("N")

    @T.prim_func
    def main(A: T.Tensor((N,), "float32"), B: T.Tensor((N,), "float32")):
        T.CUDASourceCodeKernel(T.ceildiv(N, 128), threads=128, source_code_or_path=source, entry_name=entry)

    return main


def test_a_kernel_of_the_source() -> None:
    kernel = tilelang.compile(source_kernel(ENTRY, "copy_all"), target="sm_80")
    ptx = kernel.get_kernel_source()
    assert ptx.count(".entry") == 1 and ".visible .entry main_kernel(.param .u64 a" in ptx and "copy_all" not in ptx
    with pytest.raises(CompileError, match="no source has the kernel copy_some. Available entries: copy_all"):
        tilelang.compile(source_kernel(ENTRY, "copy_some"), target="sm_80")
    cpp = 'extern "C" __global__ void __launch_bounds__(128) scale(float* A, float* B, int n) {}'
    with pytest.raises(CompileError, match="Available entries: scale"):
        tilelang.compile(source_kernel(cpp, "scales"), target="sm_80")
    with pytest.raises(UnsupportedError, match="does not run device code of other languages: main_kernel"):
        tilelang.compile(source_kernel(ENTRY, "copy_all"), target="sim:sm_80")(
            np.zeros(8, np.float32), np.zeros(8, np.float32)
        )
    with pytest.raises(TileValueError, match="needs the name of a function, got 'a-b'"):
        source_kernel(ENTRY, "a-b")
