"""A test file written for TileLang: marks, and `tilelang.testing.main`."""

import tilelang.testing


@tilelang.testing.requires_cuda
@tilelang.testing.requires_cuda_compute_version_ge(9, 0)
def test_hopper():
    pass


@tilelang.testing.requires_cuda_compute_version_lt(8, 0)
def test_old():
    raise AssertionError("not reached")


@tilelang.testing.requires_rocm
def test_rocm():
    import torch

    assert torch.version.hip and torch.cuda.get_device_name() == "simulated gfx942"


@tilelang.testing.requires_gfx950
@tilelang.testing.requires_cdna
def test_newest():
    raise AssertionError("not reached")


@tilelang.testing.requires_package("a_package_that_is_not_there")
def test_package():
    raise AssertionError("not reached")


if __name__ == "__main__":
    tilelang.testing.main()
