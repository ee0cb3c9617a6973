"""ONNX by both exporters, run by onnxruntime."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor, nn

from transforms.sides import CELLS, KINDS, LAYERS, transform
from transforms.with_recording import model

NEEDS = ("onnx", "onnxscript", "onnxruntime")
SOME = [kind for kind in KINDS if kind in CELLS or kind.name in ("RNN tanh", "GRU", "LSTM, batch_first")]


def run(m: nn.Module, x: Tensor, *, no_grad: bool = False, **options: Any) -> Any:
    """Return the results of the exported model on two inputs."""
    import onnxruntime

    file, whole = io.BytesIO(), model(m).eval()
    with torch.set_grad_enabled(not no_grad):
        program = torch.onnx.export(whole, (x,), None if options["dynamo"] else file, verbose=False, **options)
    if program is not None:
        program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [torch.from_numpy(session.run(None, {name: value.numpy()})[0]) for value in (x, x.cos())]


@transform("torch.onnx.export, dynamo=False", on=SOME, needs=NEEDS)
def onnx_script(m: nn.Module, x: Tensor) -> Any:
    return run(m, x, dynamo=False)


@transform("torch.onnx.export, dynamo=False, no_grad", on=SOME, needs=NEEDS)
def onnx_script_no_grad(m: nn.Module, x: Tensor) -> Any:
    return run(m, x, dynamo=False, no_grad=True)


@transform("torch.onnx.export", on=SOME, needs=NEEDS)
def onnx_dynamo(m: nn.Module, x: Tensor) -> Any:
    return run(m, x, dynamo=True)


@transform("torch.onnx.export, bidirectional layers", on=[k for k in LAYERS if "2 layers" in k.name], needs=NEEDS)
def onnx_layers(m: nn.Module, x: Tensor) -> Any:
    return run(m, x, dynamo=False, no_grad=True)
