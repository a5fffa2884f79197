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

_PTX = re.compile(r"^\s*(\.visible\s+|\.weak\s+)?\.(func|entry)\b", re.MULTILINE)
_LLVM = re.compile(r"^\s*define\s", re.MULTILINE)
_HEADER = re.compile(r"^\s*\.(version|target|address_size)\b.*$", re.MULTILINE)
_GLOBALS = re.compile(r"(?:__global__[\w\s*&:<>]*?|\.entry\s+)\b(\w+)\s*\(")
_BOUNDS = re.compile(r"__launch_bounds__\s*\([^)]*\)")
_PREAMBLE = """\
using uchar = unsigned char; using ushort = unsigned short; using uint = unsigned int;
using int8_t = signed char; using uint8_t = unsigned char; using int16_t = short; using uint16_t = unsigned short;
using int32_t = int; using uint32_t = unsigned int;
"""
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
    """A function that kernels call: its name, the dtypes of its arguments (`*` after those of addresses) and of its
    result (empty without one), and its symbol in the kernels' code where the name is one of C++ (`scaled<3>`)."""

    name: str
    arguments: tuple[str, ...]
    result: str
    cpp_symbol: str = ""

    @property
    def symbol(self) -> str:
        return self.cpp_symbol or self.name

    def is_in(self, text: str) -> bool:
        """Whether a source mentions the function: what a template or a name with a namespace ends in."""
        base = self.name.partition("<")[0].rpartition("::")[2]
        return re.search(rf"\b{re.escape(base)}\b", text) is not None


@dataclass(frozen=True)
class DeviceCode:
    """What comes with a module, by language, and the functions that its kernels call."""

    llvm: tuple[str, ...] = ()
    ptx: tuple[str, ...] = ()
    cpp: tuple[str, ...] = ()
    externs: tuple[Extern, ...] = ()
    entries: tuple[tuple[str, str], ...] = ()  # kernels whose code is an entry of a source: symbol and entry

    def __bool__(self) -> bool:
        return bool(self.externs or self.entries)


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
    externs, entries = _externs(module), _entries(module)
    for _, entry in entries:
        if entry not in (known := _kernels_in(texts)):
            raise CompileError(f"no source has the kernel {entry}. Available entries: {', '.join(known) or 'none'}")
    for extern in externs:
        only_cpp = bool(extern.cpp_symbol)
        if not any(extern.is_in(text) for text in (cpp if only_cpp else texts)):
            raise CompileError(
                f"no source{' of C++' * only_cpp} defines {extern.name}, which the kernel calls",
                hint="T.import_source(text) adds " + ("CUDA C++" if only_cpp else "PTX, LLVM IR or CUDA C++"),
            )
    return DeviceCode(tuple(llvm), tuple(ptx), tuple(cpp), tuple(externs), tuple(entries))


def _kernels_in(texts: Sequence[str]) -> list[str]:
    """The names of the `__global__` functions of sources."""
    return sorted({name for text in texts for name in _GLOBALS.findall(_BOUNDS.sub("", text))})


def _entries(module: ir.Module) -> list[tuple[str, str]]:
    """Kernels whose code a source has."""
    found: list[tuple[str, str]] = []
    for op in module.body.operations:
        if op.operation.name == "gpu.module":
            for inner in op.operation.regions[0].blocks[0].operations:
                if "tl.entry" in inner.operation.attributes:
                    names = (inner.operation.attributes[key] for key in ("sym_name", "tl.entry"))
                    symbol, entry = (ir.StringAttr(name).value for name in names)
                    found.append((symbol, entry))
    return found


def _externs(module: ir.Module) -> list[Extern]:
    found: list[Extern] = []
    for op in module.body.operations:
        if op.operation.name != "gpu.module":
            continue
        for inner in op.operation.regions[0].blocks[0].operations:
            if "tl.extern" in inner.operation.attributes:
                types = ir.ArrayAttr(inner.operation.attributes["tl.extern"])
                *arguments, result = (ir.StringAttr(t).value for t in types)
                name = symbol = ir.StringAttr(inner.operation.attributes["sym_name"]).value
                if "tl.extern_name" in inner.operation.attributes:
                    name = ir.StringAttr(inner.operation.attributes["tl.extern_name"]).value
                found.append(Extern(name, tuple(arguments), result, symbol if symbol != name else ""))
    return found


# The value of a call as another type; zero of it where the function returns nothing, whose comma is the language's own.
_RESULT = """struct tl_none {};
template <class T> __device__ T operator,(T value, tl_none) { return value; }
template <class R> __device__ R tl_result(tl_none) { return R(); }
template <class R, class T> __device__ R tl_result(T value) { return value; }"""


def wrappers(externs: Sequence[Extern]) -> str:
    """C++ functions of C linkage, one per call, that call what the sources define."""
    lines: list[str] = [_RESULT] if any(extern.result for extern in externs) else []
    for extern in externs:
        types = [_c_type(t) for t in (*extern.arguments, extern.result)]
        parameters = ", ".join(f"{t} a{i}" for i, t in enumerate(types[:-1]))
        values = ", ".join(f"a{i}" for i in range(len(extern.arguments)))
        call = f"{extern.name}({values});"
        if extern.result:
            call = f"return tl_result<{types[-1]}>(({extern.name}({values}), tl_none()));"
        lines.append(f'extern "C" __device__ {types[-1] or "void"} {PREFIX}{extern.symbol}({parameters}) {{ {call} }}')
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
    mine = [e for e in code.externs if e.cpp_symbol or not any(e.is_in(text) for text in others)]
    includes = "".join(f"#include <{name}>\n" for name in headers(mine))
    text = nvrtc.compile_ptx(includes + _PREAMBLE + "\n".join(code.cpp) + "\n" + wrappers(mine), arch)
    return text, {e.symbol: PREFIX + e.symbol for e in mine}


def add_to_ptx(ptx: str, code: DeviceCode, arch: str) -> str:
    """The kernels' PTX with the PTX and C++ sources.

    Raises:
        CompileError: as `cpp_to_ptx`.
    """
    sources, renamed = list(code.ptx), dict[str, str]()
    if code.cpp:
        text, renamed = cpp_to_ptx(code, arch)
        sources.append(_HEADER.sub("", text))  # NVRTC may be newer than ptxas; plain functions need no newer PTX
    for name, symbol in renamed.items():
        ptx = re.sub(rf"\b{re.escape(name)}\b", symbol, ptx)
    for symbol, entry in code.entries:
        ptx = re.sub(rf"\.visible \.entry {re.escape(symbol)}\(.*?\n\}}\n", "", ptx, flags=re.DOTALL)
        sources = [re.sub(rf"\b{re.escape(entry)}\b", symbol, text) for text in sources]
    names = [renamed.get(e.symbol, e.symbol) for e in code.externs]
    return splice(ptx, sources, names) if sources else ptx
