"""What NVIDIA machines do their own way: matrix products, asynchronous copies, thread and warp instructions."""
