"""Collections are off inside of blocks that postpone them, and back as they were after the last one."""

from __future__ import annotations

import gc

from tilelang_mlir import collection


def test_collections_come_back_after_the_last_block() -> None:
    first, second = collection.postponed(), collection.postponed()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)  # blocks of threads end in any order
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()
    gc.disable()
    try:
        with collection.postponed():
            pass
        assert not gc.isenabled()  # it was off before
    finally:
        gc.enable()
