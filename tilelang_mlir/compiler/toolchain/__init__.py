"""External tools: where ptxas, nvdisasm and cuobjdump are, and what they can read."""
