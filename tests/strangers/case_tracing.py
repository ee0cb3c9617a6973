"""Tracing and transforming layers that run our kernels: no recorded value is memory that a kernel has yet to write."""

import warnings
from pathlib import Path

import torch

from strangers.cases import case
from unrolled import nn as fast


@case("A")
def jit_trace_under_no_grad(folder: Path) -> None:
    """torch.jit.trace of converted layers under no_grad computes what the layers compute."""
    x = torch.randn(4, 6, 5)
    for kind in ("GRU", "LSTM", "RNN"):
        layer = fast.convert(torch.nn.Sequential(getattr(torch.nn, kind)(5, 7, batch_first=True)))[0].eval()
        with torch.no_grad():
            expected = layer(x)[0].clone()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of deprecation, and of torch's own checks of sizes
                traced = torch.jit.trace(layer, x)
            for _ in range(3):
                noise = torch.full((4, 6, 7), 7.0)  # so that freed memory holds something
                del noise
                torch.testing.assert_close(traced(x)[0], expected)
