"""The files of a graph: one, or two if its weights are beyond the 2 GB that a protobuf can hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from unrolled.interchange.onnx.graph import Graph

__all__ = ["LARGEST", "WEIGHTS_ENDING", "files_of"]

LARGEST = 2**31 - 2**20
"""Bytes of weights that a graph holds itself; a protobuf has less than 2 GB."""
WEIGHTS_ENDING = ".weights"
SMALL = 1024
"""Bytes up to which a tensor stays in the graph: constants, whose values decide shapes."""


def files_of(graph: Graph, name: str) -> dict[str, bytes]:
    """Return the files of a graph by name: `<name>.onnx` and, for large weights, `<name>.onnx.weights`."""
    file, weights = f"{name}.onnx", graph.weights()
    proto = graph.proto(name)
    if sum(array.nbytes for array in weights.values()) <= LARGEST:
        proto.graph.initializer.extend(numpy_helper.from_array(array, key) for key, array in weights.items())
        onnx.checker.check_model(proto, full_check=True)
        return {file: proto.SerializeToString()}
    location = f"{file}{WEIGHTS_ENDING}"
    proto.graph.initializer.extend(_external(weights, location))
    data = b"".join(array.tobytes() for array in weights.values() if array.nbytes > SMALL)
    return {file: proto.SerializeToString(), location: data}


def _external(weights: Mapping[str, NDArray[Any]], location: str) -> list[TensorProto]:
    """Return weights as tensors whose numbers are in another file, one after the other; small ones hold their own."""
    tensors, offset = [], 0
    for name, array in weights.items():
        if array.nbytes <= SMALL:
            tensors.append(numpy_helper.from_array(array, name))
            continue
        tensor = TensorProto(name=name, dims=array.shape, data_location=TensorProto.EXTERNAL)
        tensor.data_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        for key, value in (("location", location), ("offset", offset), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        tensors.append(tensor)
        offset += array.nbytes
    return tensors
