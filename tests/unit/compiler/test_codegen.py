"""Lowered modules through a worker process: PTX, cubin, resources, and what failures look like."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tilelang_mlir import knobs
from tilelang_mlir.compiler import codegen, device_ir, worker
from tilelang_mlir.compiler.messages import Request
from tilelang_mlir.compiler.options import CodegenOptions
from tilelang_mlir.compiler.pool import Worker, pool
from tilelang_mlir.compiler.toolchain import ptxas
from tilelang_mlir.compiler.toolchain.ptxas import Assembler, assemble, find_ptxas
from tilelang_mlir.dialect import context
from tilelang_mlir.errors import CompileError
from tilelang_mlir.mlir import ir
from tilelang_mlir.target import parse_target

VECTOR_ADD = Path(__file__).with_name("vector_add.mlir").read_text()


def module(text: str) -> ir.Module:
    ctx = context()
    ctx.allow_unregistered_dialects = True
    with ctx:
        return ir.Module.parse(text)


def function(body: str, arguments: str = "%p: !llvm.ptr<1>, %x: f32") -> ir.Module:
    """A kernel around some ops, each on a line of kern.py that is its number."""
    lines = [f'{line.strip()} loc("kern.py":{number}:5)' for number, line in enumerate(body.strip().splitlines(), 1)]
    inner = "\n".join(lines)
    return module(f"""module {{ gpu.module @kernels {{
      llvm.func @kernel({arguments}) attributes {{gpu.kernel, nvvm.kernel}} {{
        {inner}
        llvm.return loc("kern.py":99:1)
      }} loc("kern.py":1:1)
    }} }}""")


def ptx(body: str, arch: str = "sm_90a", arguments: str = "%p: !llvm.ptr<1>, %x: f32") -> str:
    return codegen.generate(function(body, arguments), arch, emit=("ptx",)).assembly


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_89", "sm_90a", "sm_100a", "sm_120a"])
def test_vector_add_assembles(arch: str) -> None:
    code = codegen.generate(module(VECTOR_ADD), arch)
    assert f".target {arch}" in code.assembly
    assert code.assembly.count("ld.global.v4.b32") + code.assembly.count("ld.global.v2.b64") == 2  # 16 bytes each
    assert code.binary[:4] == b"\x7fELF"
    resources = code.resources["vector_add_kernel"]
    assert 8 <= resources.registers <= 40
    assert (resources.spills, resources.stack) == (0, 0)
    assert code.timings["ptxas"] > 0


def test_shared_memory_addresses_are_32_bits() -> None:
    text = ptx("""%s = llvm.mlir.constant(64 : i32) : i32
        %q = llvm.inttoptr %s : i32 to !llvm.ptr<3>
        llvm.store %x, %q : f32, !llvm.ptr<3>""")
    assert "st.shared.b32 \t[%r" in text
    assert ".b64 \t%rd" not in text


@pytest.mark.parametrize(
    ("op", "instruction"),
    [
        ("math.exp2 %x fastmath<afn>", "ex2.approx.ftz.f32"),
        ("math.exp2 %x", "ex2.approx.f32"),
        ("math.log2 %x fastmath<afn>", "lg2.approx.f32"),
        ("math.sin %x fastmath<afn>", "sin.approx.f32"),
        ("math.cos %x fastmath<afn>", "cos.approx.f32"),
        ("math.tanh %x fastmath<afn>", "tanh.approx.f32"),
        ("math.rsqrt %x fastmath<afn>", "rsqrt.approx.f32"),
        ("math.sqrt %x fastmath<afn>", "sqrt.approx.f32"),
        ("math.sqrt %x", "sqrt.rn.f32"),
        ("math.floor %x", "cvt.rmi.f32.f32"),
        ("math.ceil %x", "cvt.rpi.f32.f32"),
        ("math.trunc %x", "cvt.rzi.f32.f32"),
        ("math.roundeven %x", "cvt.rni.f32.f32"),
        ("math.absf %x", "abs.f32"),
        ("math.fma %x, %x, %x", "fma.rn.f32"),
    ],
)
def test_math_selects_the_instruction(op: str, instruction: str) -> None:
    assert instruction in ptx(f"%y = {op} : f32\nllvm.store %y, %p : f32, !llvm.ptr<1>")


def test_math_on_vectors_goes_lane_by_lane() -> None:
    text = ptx("%y = math.exp2 %x fastmath<afn> : vector<4xf16>\nllvm.store %y, %p : vector<4xf16>, !llvm.ptr<1>",
               arguments="%p: !llvm.ptr<1>, %x: vector<4xf16>")
    assert text.count("ex2.approx.ftz.f32") == 4


def test_math_without_an_instruction_names_its_line() -> None:
    with pytest.raises(CompileError, match="math.erf on f32 has no instruction") as caught:
        ptx("%a = math.absf %x : f32\n%y = math.erf %a : f32\nllvm.store %y, %p : f32, !llvm.ptr<1>")
    assert str(caught.value.location) == "kern.py:2:5"


def test_leftover_op_is_named_instead_of_crashing() -> None:
    with pytest.raises(CompileError, match=r"no lowering to LLVM for tl\.commit_group") as caught:
        ptx('"tl.commit_group"() : () -> ()')
    assert str(caught.value.location) == "kern.py:1:5"


def test_llvm_abort_becomes_an_error_with_a_reproducer(tmp_path: Path) -> None:
    body = "%y = llvm.intr.exp(%x) : (f32) -> f32\nllvm.store %y, %p : f32, !llvm.ptr<1>"
    with knobs.overrides({"TILELANG_DUMP_DIR": str(tmp_path)}), pytest.raises(CompileError) as caught:
        ptx(body)
    assert "no libcall available for fexp" in str(caught.value)
    (saved,) = tmp_path.iterdir()
    assert "llvm.intr.exp" in saved.read_text()
    assert caught.value.hint == f"reproduce with: tl-opt {saved} --target=sm_90a --emit=ptx"
    assert "ret;" in ptx("%y = math.absf %x : f32\nllvm.store %y, %p : f32, !llvm.ptr<1>")  # the pool goes on


def test_hanging_worker_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    with knobs.overrides({"TILELANG_COMPILE_TIMEOUT_SECONDS": 0.001}), pytest.raises(CompileError, match="timed out"):
        codegen.generate(module(VECTOR_ADD), "sm_90a")


def test_worker_that_is_killed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    run, deaths = Worker.run, []

    def killed_once(worker: Any, request: Any, timeout: float) -> Any:
        if not deaths:
            deaths.append(worker._process.pid)
            os.kill(worker._process.pid, signal.SIGKILL)
        return run(worker, request, timeout)

    monkeypatch.setattr(Worker, "run", killed_once)
    assert codegen.generate(module(VECTOR_ADD), "sm_90a").binary
    assert deaths


def test_worker_that_is_always_killed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Worker.run

    def killed(worker: Any, request: Any, timeout: float) -> Any:
        os.kill(worker._process.pid, signal.SIGKILL)
        return run(worker, request, timeout)

    monkeypatch.setattr(Worker, "run", killed)
    with pytest.raises(CompileError, match="the LLVM process died with status -9"):
        codegen.generate(module(VECTOR_ADD), "sm_90a")
    monkeypatch.undo()
    assert codegen.generate(module(VECTOR_ADD), "sm_90a").assembly


def test_ptxas_errors_are_shown() -> None:
    body = 'llvm.inline_asm has_side_effects asm_dialect = att "no.such.instruction $0;", "f" %x : (f32) -> ()'
    with pytest.raises(CompileError, match="ptxas failed") as caught:
        codegen.generate(function(body), "sm_90a")
    assert "Unknown modifier '.such'" in str(caught.value)


def test_an_assembler_that_waits_makes_the_same_code(tmp_path: Path) -> None:
    text, tool = codegen.generate(module(VECTOR_ADD), "sm_90a").assembly, find_ptxas("sm_90a").path
    for flags in ((), ("-lineinfo",)):
        with Assembler("sm_90a", tool, flags) as waiting:
            binary, log = waiting.assemble(text)
        assert binary == assemble(text, "sm_90a", tool, flags)[0]
        assert "Used" in log
    with Assembler("sm_90a", tool) as waiting:  # one that is not needed ends, and leaves nothing
        process, folder = waiting._process, Path(waiting._folder.name)
        assert process is not None and process.poll() is None and folder.exists()
    assert process.poll() is not None and not folder.exists()
    fussy = tmp_path / "ptxas"  # one that reads files only
    fussy.write_text(f'#!/bin/sh\ncase "$*" in */dev/stdin*) cat > /dev/null; exit 1;; esac\nexec {tool} "$@"\n')
    fussy.chmod(0o755)
    with Assembler("sm_90a", str(fussy)) as waiting:
        assert waiting.assemble(text)[0] == assemble(text, "sm_90a", tool)[0]
    with Assembler("sm_90a", str(tmp_path / "none")) as waiting, pytest.raises(CompileError, match="cannot run"):
        waiting.assemble(text)


def test_line_info_reaches_the_ptx() -> None:
    body = "%y = math.absf %x : f32\nllvm.store %y, %p : f32, !llvm.ptr<1>"
    code = codegen.generate(function(body), "sm_90a", CodegenOptions(line_info=True))
    assert 'kern.py"' in code.assembly
    assert "\t.loc\t1 2 5" in code.assembly
    assert ", debug" not in code.assembly


def test_printf_calls_the_device_runtime() -> None:
    text = ptx('gpu.printf "x = %f\\n", %x : f32')
    assert "vprintf" in text
    assert codegen.generate(function('gpu.printf "x = %f\\n", %x : f32'), "sm_90a").binary
    # Beside a print, math operations are no library calls, which nothing would define.
    assert "__nv" not in ptx('%y = math.floor %x : f32\ngpu.printf "%f %f\\n", %x, %y : f32, f32')


def test_unroll_hints_reach_llvm() -> None:
    loop = """module {{ gpu.module @kernels {{
      llvm.func @kernel(%p: !llvm.ptr<1>, %x: f32) attributes {{gpu.kernel, nvvm.kernel}} {{
        %c0 = arith.constant 0 : i32
        %c1 = arith.constant 1 : i32
        %c6 = arith.constant 6 : i32
        %r = scf.for %i = %c0 to %c6 step %c1 iter_args(%a = %x) -> (f32) : i32 {{
          %b = arith.mulf %a, %a : f32
          scf.yield %b : f32
        }} {attributes}
        llvm.store %r, %p : f32, !llvm.ptr<1>
        llvm.return
      }} }} }}"""
    disabled = "{llvm.loop_annotation = #llvm.loop_annotation<unroll = <disable = true>>}"
    rolled = codegen.generate(module(loop.format(attributes=disabled)), "sm_90a", emit=("ptx",)).assembly
    unrolled = codegen.generate(module(loop.format(attributes="{tl.unroll}")), "sm_90a", emit=("ptx",)).assembly
    assert (rolled.count("mul.rn.f32"), unrolled.count("mul.rn.f32")) == (1, 6)


def test_many_requests_run_in_parallel_and_in_order() -> None:
    modules = [function(f"%y = arith.constant {n}.0 : f32\nllvm.store %y, %p : f32, !llvm.ptr<1>") for n in range(5)]
    jobs = [codegen.submit(codegen.bytecode(m), "sm_80", emit=("llvm",)) for m in modules]
    texts = [codegen.finish(job, m).llvm_ir for job, m in zip(jobs, modules, strict=True)]
    assert [f"store float {n}.000000e+00" in text for n, text in enumerate(texts)] == [True] * 5
    assert pool().size >= 1


def test_another_vendors_instructions_are_refused_by_name() -> None:
    with pytest.raises(CompileError, match=r"no lowering to LLVM for nvvm\.read\.ptx\.sreg\.ctaid\.x"):
        codegen.generate(module(VECTOR_ADD), "gfx942")


def test_emit_kinds() -> None:
    target = parse_target("cuda:sm_80")
    assert "define ptx_kernel void @vector_add_kernel" in str(codegen.emit(module(VECTOR_ADD), target, "llvm"))
    assert "FADD" in str(codegen.emit(module(VECTOR_ADD), target, "sass"))


def test_effort_is_what_the_most_demanding_kernel_needs() -> None:
    def level(*marks: str) -> int | None:
        kernels = [f"llvm.func @k{i}() attributes {{gpu.kernel{m}}} {{ llvm.return }}" for i, m in enumerate(marks)]
        return device_ir.effort(device_ir.parse(f"module {{ gpu.module @m {{ {' '.join(kernels)} }} }}".encode()))

    light, heavier = ", tl.effort = 1 : i64", ", tl.effort = 2 : i64"
    assert level(light) == 1
    assert level(light, heavier) == 2
    assert level(light, "") is None
    assert level("") is None


def test_one_interleaved_kernel_decides_about_the_assembler(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(ptxas, "interleaving_ptxas", lambda *about: asked.append(about) or about[1])
    for mark in ("", ", tl.interleaved"):
        kernels = f"llvm.func @k() {{ llvm.return }} llvm.func @l() attributes {{gpu.kernel{mark}}} {{ llvm.return }}"
        module = f"module {{ gpu.module @m {{ {kernels} }} }}".encode()
        worker.generate(Request(module, "sm_90a", emit=("ptx",), tool="/a/ptxas"), device_ir.new_context())
    assert asked == [("sm_90a", "/a/ptxas")]


def test_the_callers_optimisation_level_goes_first() -> None:
    assert CodegenOptions(ptxas_flags=("-maxrregcount=64",)).with_effort(1).ptxas_flags == ("-O1", "-maxrregcount=64")
    assert CodegenOptions().with_effort(None).ptxas_flags == ()
    for flag in ("-O3", "--opt-level=2"):
        assert CodegenOptions(ptxas_flags=(flag,)).with_effort(1).ptxas_flags == (flag,)
