"""The CUDA driver, without CUDA's headers or runtime library: everything goes through libcuda's C functions."""
