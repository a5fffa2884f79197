"""Hints for messages that carry none, by what the message says."""

from __future__ import annotations

import re

from tilelang_mlir.errors import TileError

_HINTS: tuple[tuple[str, str], ...] = (
    (r"dimension \d+ of a shape (is|must be)", "sizes are positive Python ints; those of arguments may be T.dynamic"),
    (r"two initial values", "write T.alloc_var(dtype, init) or T.alloc_var(dtype, init=...)"),
    (r"an arrival count must be", "give the number of threads that arrive in one phase, such as T.alloc_barrier(128)"),
    (r"get_\w+: dimension .* is not in", "dimensions are 0 (x), 1 (y) and 2 (z)"),
    (r"division by zero", "guard the divisor, or choose a block size that is not zero"),
    (r"bitwise operator needs integer operands", "convert with T.cast, or take the bits with T.reinterpret"),
    (r"takes [\d+* a-z]*(arguments?|operands?), got", "see its signature in docs/language.md"),
    (r"cannot reinterpret", "reinterpret keeps the bits: choose a dtype of the same width, or convert with T.cast"),
    (r"cannot view", "a view has as many bits as the buffer: change the shape, or give a dtype"),
    (r"but got \d+ ind", "one index per dimension; fewer give the address of a tile, which only tile operations take"),
    (r"index .* is out of range", "indices start at 0; negative ones count from the end"),
    (r"index \d+ of .*, got tuple", "name each variable of the loop: for i, j in T.Parallel(rows, columns)"),
    (r"index \d+ of .*, got Kernel", "block indices come with the statement: `with T.Kernel(...) as bx:`"),
    (r"(index|extent|grid dimension|offset) \d+ .*must be an integer", "use // for whole-number division, or T.cast"),
    (r"cannot be unpacked or iterated", "a loop has one variable per extent: for i, j in T.Parallel(rows, columns)"),
    (r"expected a Python integer, got a value", "Python computes while the kernel is traced; T.cast and T.sqrt later"),
    (r"the slice of dimension", "the end of a slice is not part of it"),
    (r"grid dimension \d+ is", "T.ceildiv(size, block) gives the number of blocks"),
    (r"a block has at most", "use fewer threads, and let each do more iterations of T.Parallel"),
    (r"takes up to 3 grid dimensions", "fold dimensions into one and split its index with // and %"),
    (r"only be used inside `with T.Kernel", "move it below `with T.Kernel(...) as ...:`"),
    (r"can only return tensors made by T.empty", "write results into a parameter, or make the output with T.empty"),
    (r"must be a buffer or a part of one", "pass a buffer, a slice of it, or an element as an address"),
    (r"(target|source) of T\.\w+ must be in \w+ memory", "copies have a direction: T.copy(source, target)"),
    (r"must be one of", "the value is one of those listed"),
    (r"num_stages must be", "give the number of buffer versions as a Python int, such as 3"),
    (r"(needs|is|must be) a Python integer of 0 or more",
     "the number is an immediate of the instruction: no run-time value"),
    (r"cannot accumulate in", "int8 accumulates in int32, floats in float32 or float16"),
    (r"must be a two-dimensional tile", "slice the other dimensions away: A[i, 0:64, 0:64]"),
    (r"over dimension \d+ gives", "the target has the source's shape without the dimension (or with size 1 there)"),
    (r"dimension .* is out of range for a tile", "dimensions count from 0; -1 is the last"),
    (r"a reducer of kind", "one reducer has one operation: allocate another for the other"),
    (r"needs a buffer made by T.alloc_reducer", "sum = T.alloc_reducer(shape, dtype, op='sum')"),
    (r"atomic operations work on", "fragments belong to one block: combine with T.reduce_sum or a reducer"),
    (r"needs an integer element", "bitwise atomics exist for integers only"),
    (r"needs a barrier made by T.alloc_barrier", "bar = T.alloc_barrier(128), used as bar or bar[i]"),
    (r"width must be a power of two", "use 2, 4, 8, 16 or 32"),
    (r"the panel size must be", "T.use_swizzle(10) walks the grid in panels of 10 columns"),
    (r"the safe value of", "give a Python number: it is what reads outside of the tensor return"),
    (r"T\.(Parallel|grid) needs at least one extent", "for i, j in T.Parallel(rows, columns)"),
    (r"the step of a loop is zero", "leave the step out for 1; negative steps count down"),
    (r"expected a scalar, got \w+", "a number, an element such as A[i], or a variable of T.alloc_var"),
    (r"needs elements of buffers", "A[i], A[i:i + 4], or the buffer for its first elements"),
    (r"has no truth value", "compare its elements, or combine them: T.any_of(A[0:4]), T.all_of(A[0:4])"),
    (r"object has no attribute", "docs/language.md has the names of T; values have dtype and astype"),
    (r"needs a multiple of 8 from 24", "such as T.set_max_nreg(240, 1) and T.set_max_nreg(24, 0)"),
    (r"without T.rng_init", "T.rng_init(seed) starts the generator of each thread"),
    (r"(needs|must be) a positive (integer|number)", "a Python int of 1 or more, known when the kernel is traced"),
    (r"needs an integer, got", "convert with T.cast(value, 'int32'), or take the bits with T.reinterpret"),
    (r"needs a whole buffer", "views are of buffers; a slice of one can be copied into a buffer of its own"),
    (r"two elements into one", "every element needs a place of its own: fn(i, j) differs for all of them"),
    (r"lanes, got \d+ values", "give a value for each lane, or one for all"),
    (r"order and stage of T.Pipelined", "order=[0, 1, 2], stage=[0, 0, 1]; or num_stages alone"),
    (r"explicit or unroll_factor", "leave one of them out"),
    (r"takes a run along the last dimension", "T.any_of(A[i, 0:4])"),
    (r"accesses (global|shared) memory", "T.ldg and T.stg access tensors, T.lds and T.sts shared tiles"),
    (r"needs \d+ bits, got", "T.uint32x4(a, b, c, d), or A[i:i + 4] of 32-bit elements"),
    (r"differ in element type", "T.copy converts between buffers"),
    (r"device code is given as text", "open(name).read()"),
    (r"needs at least (one|two)", "see its example in docs/language.md"),
    (r"unsupported operand type", "values have Python's arithmetic, comparison and bit operators"),
    (r"needs a global tensor and a ratio", "T.annotate_l2_hit_ratio({A: 0.5})"),
    (r", expected ('|\w+, )", "the value is one of those listed"),
    (r"loop bounds must be integers", "convert with T.cast(value, 'int32')"),
)


def add_hint(error: TileError) -> None:
    """Give an error without a hint the one for its message, if there is one."""
    if error.hint:
        return
    for pattern, hint in _HINTS:
        if re.search(pattern, error.message):
            error.hint = hint
            return
