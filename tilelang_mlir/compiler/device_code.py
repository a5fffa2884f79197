"""Device code that a program brings along: LLVM IR is linked in, PTX is put beside the kernels, C++ becomes PTX first.

A source is told apart by its text: PTX has `.func` directives, LLVM IR has `define`, everything else is CUDA C++, which
NVRTC compiles when it is installed. C++ functions may be templates: for every call there is a function of C linkage
that calls them with the types of the arguments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tilelang_mlir.compiler.toolchain import nvrtc
from tilelang_mlir.errors import CompileError
from tilelang_mlir.mlir import ir

_PTX = re.compile(r"^\s*(\.visible\s+|\.weak\s+)?\.func\b", re.MULTILINE)
_LLVM = re.compile(r"^\s*define\s", re.MULTILINE)
_HEADER = re.compile(r"^\s*\.(version|target|address_size)\b.*$", re.MULTILINE)
_C_TYPES = {
    "bool": "bool", "int8": "signed char", "uint8": "unsigned char", "int16": "short", "uint16": "unsigned short",
    "int32": "int", "uint32": "unsigned int", "int64": "long long", "uint64": "unsigned long long", "float32": "float",
    "float64": "double", "float16": "__half", "bfloat16": "__nv_bfloat16", "float8_e4m3": "__nv_fp8_e4m3",
    "float8_e4m3fn": "__nv_fp8_e4m3", "float8_e5m2": "__nv_fp8_e5m2",
}  # fmt: skip
_HEADERS = {"float16": "cuda_fp16.h", "bfloat16": "cuda_bf16.h", "float8_e4m3": "cuda_fp8.h",
            "float8_e4m3fn": "cuda_fp8.h", "float8_e5m2": "cuda_fp8.h"}  # fmt: skip
PREFIX = "tl_extern_"


@dataclass(frozen=True)
class Extern:
    """A function that kernels call: its name, and the dtypes of its arguments (`*` after those of addresses) and of its
    result (empty without one)."""

    name: str
    arguments: tuple[str, ...]
    result: str


@dataclass(frozen=True)
class DeviceCode:
    """What comes with a module, by language, and the functions that its kernels call."""

    llvm: tuple[str, ...] = ()
    ptx: tuple[str, ...] = ()
    cpp: tuple[str, ...] = ()
    externs: tuple[Extern, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.externs)


def device_code(module: ir.Module) -> DeviceCode:
    """The sources and calls of a lowered module.

    Raises:
        CompileError: a function is called that no source defines.
    """
    attributes = module.operation.attributes
    texts: list[str] = []
    if "tl.sources" in attributes:
        texts = [ir.StringAttr(t).value for t in ir.ArrayAttr(attributes["tl.sources"])]
    ptx = [t for t in texts if _PTX.search(t)]
    llvm = [t for t in texts if t not in ptx and _LLVM.search(t)]
    cpp = [t for t in texts if t not in ptx and t not in llvm]
    externs = _externs(module)
    for extern in externs:
        if not any(re.search(rf"\b{re.escape(extern.name)}\b", text) for text in texts):
            raise CompileError(
                f"no source defines {extern.name}, which the kernel calls",
                hint="T.import_source(text) adds PTX, LLVM IR or CUDA C++",
            )
    return DeviceCode(tuple(llvm), tuple(ptx), tuple(cpp), tuple(externs))


def _externs(module: ir.Module) -> list[Extern]:
    found: list[Extern] = []
    for op in module.body.operations:
        if op.operation.name != "gpu.module":
            continue
        for inner in op.operation.regions[0].blocks[0].operations:
            if "tl.extern" in inner.operation.attributes:
                types = ir.ArrayAttr(inner.operation.attributes["tl.extern"])
                *arguments, result = (ir.StringAttr(t).value for t in types)
                name = ir.StringAttr(inner.operation.attributes["sym_name"]).value
                found.append(Extern(name, tuple(arguments), result))
    return found


def wrappers(externs: Sequence[Extern]) -> str:
    """C++ functions of C linkage, one per call, that call what the sources define."""
    lines: list[str] = []
    for extern in externs:
        types = [_c_type(t) for t in (*extern.arguments, extern.result)]
        parameters = ", ".join(f"{t} a{i}" for i, t in enumerate(types[:-1]))
        values = ", ".join(f"a{i}" for i in range(len(extern.arguments)))
        call = f"{'return ' if extern.result else ''}{extern.name}({values});"
        lines.append(f'extern "C" __device__ {types[-1] or "void"} {PREFIX}{extern.name}({parameters}) {{ {call} }}')
    return "\n".join(lines) + "\n"


def headers(externs: Sequence[Extern]) -> list[str]:
    """The CUDA headers that the types of the calls need."""
    names = {t.removesuffix("*") for e in externs for t in (*e.arguments, e.result)}
    return sorted({_HEADERS[name] for name in names if name in _HEADERS})


def _c_type(text: str) -> str:
    if not text:
        return ""
    name, star = text.removesuffix("*"), "*" if text.endswith("*") else ""
    if name not in _C_TYPES:
        raise CompileError(f"C++ has no type for {name} in a call of device code", hint="reinterpret it as an integer")
    return f"{_C_TYPES[name]}{' ' + star if star else ''}"


def splice(ptx: str, sources: Sequence[str], names: Sequence[str]) -> str:
    """The kernels' PTX with the functions of the sources in front, in the place of their declarations."""
    for name in names:
        ptx = re.sub(rf"\.extern \.func\b[^;]*?\b{re.escape(name)}\b[^;]*?;", "", ptx, flags=re.DOTALL)
    functions = "\n".join(_HEADER.sub("", text) for text in sources)
    version = max((_version(text) for text in (ptx, *sources)), default=(0, 0))
    ptx = re.sub(r"\.version \d+\.\d+", f".version {version[0]}.{version[1]}", ptx, count=1)
    head, mark, rest = ptx.partition(".address_size 64")
    return f"{head}{mark}\n{functions}\n{rest}"


def _version(ptx: str) -> tuple[int, int]:
    found = re.search(r"^\s*\.version\s+(\d+)\.(\d+)", ptx, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def cpp_to_ptx(code: DeviceCode, arch: str) -> tuple[str, dict[str, str]]:
    """The C++ sources as PTX, and by what name the kernels have to call what they define.

    Raises:
        CompileError: NVRTC is not installed or rejects the code.
    """
    others = (*code.llvm, *code.ptx)
    mine = [e for e in code.externs if not any(re.search(rf"\b{re.escape(e.name)}\b", text) for text in others)]
    includes = "".join(f"#include <{name}>\n" for name in headers(mine))
    text = nvrtc.compile_ptx(includes + "\n".join(code.cpp) + "\n" + wrappers(mine), arch)
    return text, {e.name: PREFIX + e.name for e in mine}


def add_to_ptx(ptx: str, code: DeviceCode, arch: str) -> str:
    """The kernels' PTX with the PTX and C++ sources.

    Raises:
        CompileError: as `cpp_to_ptx`.
    """
    sources, renamed = list(code.ptx), dict[str, str]()
    if code.cpp:
        text, renamed = cpp_to_ptx(code, arch)
        sources.append(text)
    for name, symbol in renamed.items():
        ptx = re.sub(rf"\b{re.escape(name)}\b", symbol, ptx)
    names = [renamed.get(e.name, e.name) for e in code.externs]
    return splice(ptx, sources, names) if sources else ptx
