"""The compiled kernels (csrc/) as Python calls them."""
