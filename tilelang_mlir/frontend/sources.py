"""Device code in other languages that a program brings along."""

from __future__ import annotations

from pathlib import Path

from tilelang_mlir.errors import TileTypeError, TileValueError
from tilelang_mlir.frontend.builder import Builder
from tilelang_mlir.mlir import ir

_SUFFIXES = (".cu", ".cuh", ".ptx", ".ll", ".cpp", ".h")


def add_source(builder: Builder, source: object) -> None:
    """Append a source, or what a file of that name holds, to the module, each once.

    Raises:
        TileTypeError: it is no text. TileValueError: it is the name of a file that there is not.
    """
    if not isinstance(source, str):
        raise TileTypeError(f"device code is given as text, got {type(source).__name__}")
    if "\n" not in source and len(source) < 4096 and Path(source).is_file():
        source = Path(source).read_text()
    elif source.endswith(_SUFFIXES) and len(source.split()) == 1:
        raise TileValueError(f"there is no file {source!r} of device code", hint="give its path, or the text itself")
    attributes = builder.module.operation.attributes
    texts = [t for t in ir.ArrayAttr(attributes["tl.sources"])] if "tl.sources" in attributes else []
    with builder.module.context:
        text = ir.StringAttr.get(source)
        if text not in texts:
            attributes["tl.sources"] = ir.ArrayAttr.get([*texts, text])
