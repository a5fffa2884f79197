"""Which device function decodes packed integers: its name, and the source to bring along, which is empty here."""

from __future__ import annotations

from typing import Any

from tilelang_mlir.dtypes import DType
from tilelang_mlir.errors import TileValueError
from tilelang_mlir.language.decoders import DECODERS

_SHORT = {"float16": "f16", "bfloat16": "bf16", "int8": "i8s"}


def get_lop3_intrin_group(
    out_dtype: Any,
    source_format: str = "uint",
    source_bit: int = 4,
    storage_dtype: Any = "int8",
    with_scaling: bool = False,
    with_zeros: bool = False,
    zeros_mode: str = "original",
    storage_scope: str = "local",
) -> dict[str, str]:
    """The decoder of packed integers for `T.call_extern`: `{"func_name": ..., "c_source": ...}`.

    The source is empty: the decoder is a function of the language (`tilelang_mlir/language/decoders.py`).

    Args:
        out_dtype: float16 or int8.
        source_format: int (stored with an offset) or uint.
        zeros_mode: how zeros are taken off: "original" before scaling, "rescale" after it, "quantized" as integers.

    Raises:
        TileValueError: there is no such decoder.
    """
    del storage_dtype, storage_scope
    signed = "s" if str(source_format).startswith("int") else "u"
    name = f"decode_i{source_bit}{signed}_to_{_SHORT.get(str(DType(out_dtype)), out_dtype)}"
    name += ("_scale" if with_scaling else "") + (f"_zeros_{zeros_mode}" if with_zeros else "")
    return _found(name)


def get_mxfp_intrin_group(
    out_dtype: Any = "bfloat16",
    source_format: str = "uint",
    source_bit: int = 4,
    storage_dtype: Any = "uint8",
    use_twiddling: bool = False,
    target: Any = None,
) -> dict[str, str]:
    """The same for microscaling floats: e2m1 to bfloat16, of weights whose bits are twiddled.

    Raises:
        TileValueError: there is no such decoder.
    """
    del source_format, storage_dtype, target
    short = _SHORT.get(str(DType(out_dtype)), out_dtype)
    return _found(f"decode_fp{source_bit}_to_{short}{'_twiddling' if use_twiddling else ''}")


def _found(name: str) -> dict[str, str]:
    if name not in DECODERS:
        raise TileValueError(f"there is no decoder {name}", hint=f"decoders: {', '.join(sorted(DECODERS))}")
    return {"func_name": name, "c_source": ""}
