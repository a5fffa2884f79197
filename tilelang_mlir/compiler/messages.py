"""What the compiler and its worker processes say to each other: length-prefixed pickles over pipes.

Both ends are this program, so pickle is safe here; only plain data travels.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass, field
from typing import BinaryIO

from tilelang_mlir.compiler.device_code import DeviceCode
from tilelang_mlir.compiler.options import CodegenOptions, CompileOptions
from tilelang_mlir.errors import TileError

_HEADER = struct.Struct(">Q")


@dataclass(frozen=True)
class Request:
    """One code generation job.

    `module` is level-4 MLIR (bytecode or text), `emit` lists what to return: llvm, and the vendor's text and binary.
    `tool` is the path of what makes machine code (ptxas, lld); without it there is none. `code` is what the module
    brings along, `spilled_flags` are the flags of ptxas to use instead where it spills registers (None: the same);
    both are known when the module has been read.
    """

    module: bytes
    arch: str
    options: CodegenOptions = CodegenOptions()
    emit: tuple[str, ...] = ("ptx", "cubin")
    tool: str = ""
    code: DeviceCode = DeviceCode()
    spilled_flags: tuple[str, ...] | None = None


@dataclass(frozen=True)
class WholeRequest:
    """The compilation of a level-1 module (bytecode), passes and code generation; target and options are data."""

    module: bytes
    target: str
    options: CompileOptions


@dataclass
class Reply:
    """The outcome of a job: assembly text (PTX, AMDGCN) and machine code (cubin, HSACO).

    `error` is empty on success; `stage` names the step that failed.
    """

    assembly: str = ""
    llvm_ir: str = ""
    binary: bytes = b""
    log: str = ""
    timings: dict[str, float] = field(default_factory=dict)  # stage -> milliseconds
    stage: str = ""
    error: str = ""
    artifact: bytes = b""  # of a whole compilation
    failure: TileError | None = None  # why a whole compilation failed


def send(stream: BinaryIO, message: object) -> None:
    """Write one message. Raises BrokenPipeError when the other end is gone."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_HEADER.pack(len(body)))
    stream.write(body)
    stream.flush()


def receive(stream: BinaryIO) -> object:
    """Read one message. Raises EOFError when the other end closed the pipe or died in the middle."""
    header = _read(stream, _HEADER.size)
    return pickle.loads(_read(stream, _HEADER.unpack(header)[0]))


def _read(stream: BinaryIO, size: int) -> bytes:
    chunks: list[bytes] = []
    while size:
        chunk = stream.read(size)
        if not chunk:
            raise EOFError("the pipe was closed")
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
