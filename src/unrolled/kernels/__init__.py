"""Python interface of the compiled kernels (csrc/)."""
