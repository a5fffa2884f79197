"""The bits of constants of narrow floats (OCP 8-bit and microscaling formats, and their FNUZ variants)."""

from __future__ import annotations

import math
import re

_FORMAT = re.compile(r"f(\d+)E(\d+)M(\d+)(\w*)")


def narrow_code(kind: str, value: float) -> int | None:
    """The bits of a finite value that a format of at most 8 bits, such as `f8E4M3FN`, has exactly; None of others.

    The formats that have no sign are those of scales, `f8E8M0FNU`.
    """
    found = _FORMAT.fullmatch(kind)
    if found is None or not math.isfinite(value):
        return None
    width, exponent_bits, fraction_bits = (int(found[i]) for i in (1, 2, 3))
    bias = (1 << exponent_bits - 1) - (0 if found[4] == "FNUZ" else 1)
    if fraction_bits == 0:
        exponent = math.frexp(value)[1] - 1 + bias
        return exponent if value > 0 and math.ldexp(1, exponent - bias) == value and 0 <= exponent < 255 else None
    mantissa, exponent = math.frexp(abs(value))
    field = max(exponent - 1 + bias, 1) if value else 1
    units = math.ldexp(mantissa, exponent - (field - bias) + fraction_bits) if value else 0.0
    if units != int(units) or units >= 2 << fraction_bits or field >= 1 << exponent_bits:
        return None
    code = int(units) + (field - 1 << fraction_bits)  # the leading one of a normal number carries into the exponent
    return code | (1 << width - 1 if math.copysign(1, value) < 0 and (value or found[4] != "FNUZ") else 0)
