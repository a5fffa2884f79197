"""Launch plans read off host functions."""

from __future__ import annotations

import pytest

from tilelang_mlir.compiler.build_plan import build_plan, complete_plan
from tilelang_mlir.dialect import context
from tilelang_mlir.errors import CompileError, TileValueError, UnsupportedError
from tilelang_mlir.launch_plan import LaunchPlan, SolveStep, TensorMapSpec, compile_exprs, format_expr, linear_form
from tilelang_mlir.mlir import ir

PARAMS = """[{name = "A", kind = "tensor", dtype = "float32"}, {name = "s", kind = "scalar", dtype = "int32"},
  {name = "C", kind = "tensor", dtype = "float32"}, {name = "m", kind = "symbol", dtype = "int32"},
  {name = "n", kind = "symbol", dtype = "int32"}]"""
GLOBAL = '#tl.scope<"global">'
HOST = f"""
func.func @f(%a: !llvm.ptr<1>, %s: i32, %c: !llvm.ptr<1>, %m: i32, %n: i32) attributes {{tl.params = {PARAMS}}} {{
  %c2 = arith.constant 2 : i32
  %c128 = arith.constant 128 : i32
  %n2 = arith.muli %n, %c2 : i32
  %w = arith.addi %n2, %m : i32
  %A = "tl.tensor"(%a, %m, %w, %w) {{shape = array<i64: -1, -1>, strides = array<i64: -1, 1>}}
    : (!llvm.ptr<1>, i32, i32, i32) -> memref<?x?xf32, strided<[?, 1]>, {GLOBAL}>
  %C = "tl.tensor"(%c, %n) {{shape = array<i64: -1, 64>, strides = array<i64: 64, 1>}}
    : (!llvm.ptr<1>, i32) -> memref<?x64xf32, {GLOBAL}>
  %g = arith.ceildivsi %m, %c128 : i32
  BODY
  return
}}"""
LAUNCH = """"tl.launch"(%g, %s) ({ ^bb0(%x: i32, %y: i32):
    %t = "tl.slice"(%A, %x, %y) {sizes = array<i64: 8, 8>} : (memref<?x?xf32, strided<[?, 1]>, GLOBAL>, i32, i32)
      -> memref<8x8xf32, strided<[?, 1], offset: ?>, GLOBAL>
    %u = "tl.slice"(%C, %x, %y) {sizes = array<i64: 8, 8>} : (memref<?x64xf32, GLOBAL>, i32, i32)
      -> memref<8x8xf32, strided<[64, 1], offset: ?>, GLOBAL>
  }) {threads = array<i32: 128, 1, 1>} : (i32, i32) -> ()""".replace("GLOBAL", GLOBAL)


def plan(body: str = LAUNCH, **options: object) -> LaunchPlan:
    with context():
        return build_plan(ir.Module.parse(HOST.replace("BODY", body)), **options)  # type: ignore[arg-type]


def test_shapes_strides_and_grid() -> None:
    made = plan()
    first, _, third, *_ = made.params
    width = ("add", ("mul", "n", 2), "m")
    assert (first.shape, first.strides) == (("m", width), (width, 1))
    assert (third.shape, third.strides) == (("n", 64), (64, 1))
    (kernel,) = made.kernels
    assert (kernel.name, kernel.grid, kernel.block) == ("f_kernel", (("ceildiv", "m", 128), "s", 1), (128, 1, 1))


def test_dimensions_are_solved_directly_where_possible() -> None:
    assert plan().solve == (SolveStep("m", 0, "shape", 0), SolveStep("n", 2, "shape", 0))


def test_outputs_give_no_dimensions() -> None:
    made = plan(out_idx=[-1])
    assert made.out_idx == (2,)
    assert made.solve[1] == SolveStep("n", 0, "shape", 1, 2, "m")
    with pytest.raises(TileValueError, match="cannot read the symbolic dimension m, n off any argument"):
        plan(out_idx=[0, 2])
    with pytest.raises(TileValueError, match="out_idx 3 is out of range for 3 parameters"):
        plan(out_idx=[3])
    with pytest.raises(TileValueError, match="out_idx 1 is s, a scalar"):
        plan(out_idx=[1])


def test_unused_parameters_are_known() -> None:
    body = '"tl.launch"(%g) ({ ^bb0(%x: i32): }) {threads = array<i32: 32, 1, 1>} : (i32) -> ()'
    assert [p.used for p in plan(body).params[:3]] == [False, False, False]
    assert [p.used for p in plan().params[:3]] == [True, True, True]
    view = f'%r = "tl.reshape"(%C, %n2) : (memref<?x64xf32, {GLOBAL}>, i32) -> memref<?xf32, {GLOBAL}>'
    assert [p.used for p in plan(body + view).params[:3]] == [False, False, False]


def test_arrays_of_addresses_start_at_any_address() -> None:
    with context():
        text = HOST.replace('"C", kind = "tensor", dtype = "float32"', '"C", kind = "tensor", dtype = "handle"')
        params = build_plan(ir.Module.parse(text.replace("BODY", LAUNCH))).params
    assert [p.alignment for p in params[:3]] == [16, 16, 8]


def test_workspaces_asserts_and_names_of_several_kernels() -> None:
    space = f'%b = "tl.alloc"() : () -> memref<3x5xbf16, {GLOBAL}>'
    check = '%ok = arith.cmpi sgt, %m, %c2 : i32\n"tl.assert"(%ok) {message = "m is small"} : (i1) -> ()'
    made = plan(f"{space}\n{check}\n{LAUNCH}\n{LAUNCH}\n{LAUNCH}")
    assert [k.name for k in made.kernels] == ["f_kernel", "f_kernel_1", "f_kernel_2"]
    assert [(w.dtype, w.shape) for w in made.workspaces] == [("bfloat16", (3, 5))]
    assert made.asserts == ((("gt", "m", 2), "m is small"),)


def test_plans_survive_json() -> None:
    made = plan(out_idx=[2])
    assert LaunchPlan.from_json(made.to_json()) == made
    with pytest.raises(ValueError, match="another format"):
        LaunchPlan.from_json('{"format": 0}')


def test_completion_takes_what_lowering_decided() -> None:
    lowered = """module { gpu.module @kernels {
      llvm.func @f_kernel() attributes {gpu.kernel, nvvm.kernel, nvvm.reqntid = array<i32: 384, 1, 1>,
        nvvm.cluster_dim = array<i32: 2, 1, 1>, tl.shared_bytes = 1024 : i64, tl.cooperative,
        tl.tensor_maps = [{param = 0 : i64, box = array<i64: 64, 32>, swizzle = "128B"},
                          {param = 0 : i64, box = array<i64: 64, 32>, walk = array<i64: -1, -1, 2>}]} {
          llvm.return } } }"""
    with context():
        (kernel,) = complete_plan(plan(), ir.Module.parse(lowered)).kernels
        assert (kernel.block, kernel.cluster, kernel.shared_bytes) == ((384, 1, 1), (2, 1, 1), 1024)
        assert kernel.cooperative and not kernel.programmatic
        assert kernel.tensor_maps == (
            TensorMapSpec(0, (64, 32), "128B"),
            TensorMapSpec(0, (64, 32), walk=(-1, -1, 2)),
        )
        with pytest.raises(CompileError, match="lacks f_kernel"):
            complete_plan(plan(), ir.Module.parse("module { gpu.module @kernels { } }"))


def test_host_code_beyond_expressions_is_refused() -> None:
    body = "%f = arith.sitofp %m : i32 to f32\n%k = arith.fptosi %f : f32 to i32\n" + LAUNCH.replace("%g", "%k")
    with pytest.raises(UnsupportedError, match="arith.fptosi in the host function"):
        plan(body)


@pytest.mark.parametrize(
    ("expr", "value", "text"),
    [
        (("add", "a", ("mul", "b", -3)), 7 - 3 * 5, "a + (b * -3)"),
        (("ceildiv", "a", 4), 2, "ceildiv(a, 4)"),
        (("floordiv", ("sub", 0, "a"), 4), -2, "(0 - a) // 4"),
        (("truncdiv", ("sub", 0, "a"), 4), -1, "truncdiv(0 - a, 4)"),
        (("rem", ("sub", 0, "a"), 4), -3, "rem(0 - a, 4)"),
        (("select", ("lt", "a", "b"), 1, 2), 2, "1 if (a < b) else 2"),
        (("min", "a", ("max", "b", 6)), 6, "min(a, max(b, 6))"),
        (("shl", 1, ("xor", "a", "b")), 1 << (7 ^ 5), "1 << (a ^ b)"),
    ],
)
def test_expressions(expr: object, value: int, text: str) -> None:
    assert compile_exprs([expr], ("a", "b"))(7, 5) == (value,)  # type: ignore[list-item]
    assert format_expr(expr) == text  # type: ignore[arg-type]


def test_linear_forms() -> None:
    assert linear_form(("sub", ("mul", ("add", "a", 1), 3), "b")) == {"a": 3, "b": -1, "": 3}
    assert linear_form(("mul", "a", "b")) is None
    assert linear_form(("floordiv", "a", 2)) is None
