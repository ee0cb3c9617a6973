"""A builder of ONNX graphs: values with arithmetic, weights under the names of the model, bodies of loops.

    x = graph.input("x", np.float32, ("batch", "time", 8))
    y = x @ graph.weight(linear, "weight", linear.weight.T) + graph.weight(linear, "bias")

Each operation appends a node to the graph, or to the body of a Scan while one is built, and returns its output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper
from torch import Tensor, nn

__all__ = ["BATCH", "PAST", "SOURCE", "TIME", "Graph", "Operand", "Port", "Shape", "Value"]

BATCH, TIME, SOURCE, PAST = "batch", "time", "source_time", "past_time"
"""Names of the axes whose size is that of the inputs: sequences, steps, steps of the source, steps in the cache."""
BODY = "body"

Array = NDArray[Any]
Shape = tuple[int | str, ...]


class Port(NamedTuple):
    """An input or output of a graph: its name, type, and shape, in which dynamic axes have names."""

    name: str
    dtype: str
    shape: Shape


class Value:
    """The output of a node, an input or a weight; a float or an int in arithmetic is float32 or int64.

    Args:
        graph: the graph that it belongs to.
        name: its name there.
    """

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Operand) -> Value:
        return self.graph.op("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.graph.op("Sub", self, other)

    def __mul__(self, other: Operand) -> Value:
        return self.graph.op("Mul", self, other)

    def __truediv__(self, other: Operand) -> Value:
        return self.graph.op("Div", self, other)

    def __matmul__(self, other: Operand) -> Value:
        return self.graph.op("MatMul", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.graph.op("Sub", other, self)

    def sigmoid(self) -> Value:
        """σ of each element."""
        return self.graph.op("Sigmoid", self)

    def tanh(self) -> Value:
        """Return tanh of each element."""
        return self.graph.op("Tanh", self)

    def softmax(self) -> Value:
        """Return the softmax over the last axis."""
        return self.graph.op("Softmax", self, axis=-1)

    def cast(self, dtype: type) -> Value:
        """Return the value as another type."""
        return self.graph.op("Cast", self, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def unsqueeze(self, *axes: int) -> Value:
        """Return the value with axes of size 1 at these positions of the result."""
        return self.graph.op("Unsqueeze", self, np.array(axes))

    def squeeze(self, *axes: int) -> Value:
        """Return the value without these axes of size 1."""
        return self.graph.op("Squeeze", self, np.array(axes))

    def transpose(self, *order: int) -> Value:
        """Return the value with its axes in this order."""
        return self.graph.op("Transpose", self, perm=order)

    def reshape(self, *shape: int) -> Value:
        """Return the value in this shape: 0 keeps the size of the axis at that position, −1 takes the rest."""
        return self.graph.op("Reshape", self, np.array(shape))

    def slice(self, axis: int, start: Operand, end: Operand) -> Value:
        """Return the elements [start, end) along an axis; start and end are integers, or values of shape (1,)."""
        ends = [np.array([each]) if isinstance(each, int) else each for each in (start, end)]
        return self.graph.op("Slice", self, *ends, np.array([axis]))

    def split(self, axis: int, sizes: Sequence[int]) -> tuple[Value, ...]:
        """Return the value in parts of these sizes along an axis."""
        if len(sizes) == 1:
            return (self,)
        return self.graph.ops("Split", self, np.array(sizes), outputs=len(sizes), axis=axis)

    def size(self, axis: int) -> Value:
        """Return the size of an axis, (1,) int64."""
        return self.graph.op("Shape", self, start=axis, end=axis + 1)

    def sum(self, axis: int) -> Value:
        """Return the sum along an axis, which is left out."""
        return self.graph.op("ReduceSum", self, np.array([axis]), keepdims=0)


Operand = Value | Array | float


class Graph:
    """An ONNX graph under construction.

    Args:
        model: the model whose weights it holds, for their names.
        opset: version of ONNX's operators.
    """

    def __init__(self, model: nn.Module, opset: int) -> None:
        self.opset = opset
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self._paths = {id(module): path for path, module in model.named_modules()}
        self._weights: dict[str, Array] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._scopes: list[list[onnx.NodeProto]] = [[]]
        self._number = 0

    def path(self, module: nn.Module) -> str:
        """Return the path of a module in the model, such as layers.layers.0.cell; "" for the model itself."""
        path: str = self._paths[id(module)]
        return path

    def input(self, name: str, dtype: type, shape: Shape) -> Value:
        """Add an input to the graph."""
        self.inputs.append(Port(name, np.dtype(dtype).name, shape))
        return Value(self, name)

    def output(self, name: str, value: Value, dtype: type, shape: Shape) -> None:
        """Make a value an output of the graph."""
        self._append("Identity", [value.name], [name])
        self.outputs.append(Port(name, np.dtype(dtype).name, shape))

    def op(self, kind: str, *inputs: Operand | None, **attributes: Any) -> Value:
        """Append a node and return its only output; an input that is None is left out."""
        (value,) = self.ops(kind, *inputs, outputs=1, **attributes)
        return value

    def ops(self, kind: str, *inputs: Operand | None, outputs: int, **attributes: Any) -> tuple[Value, ...]:
        """Append a node and return its outputs."""
        values = tuple(Value(self, self._name(kind)) for _ in range(outputs))
        names = ["" if each is None else self.value(each).name for each in inputs]
        self._append(kind, names, [value.name for value in values], **attributes)
        return values

    def value(self, operand: Operand) -> Value:
        """Return an operand as a value; numbers and arrays become constants."""
        if isinstance(operand, Value):
            return operand
        array = np.asarray(operand, dtype=np.float32) if isinstance(operand, float) else np.asarray(operand)
        key = array.dtype.name, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self._weight(f"constant.{len(self._constants)}", array)
        return self._constants[key]

    def weight(self, module: nn.Module, name: str, value: Tensor | None = None) -> Value:
        """Return a weight of a module.

        Args:
            module: the module that owns it.
            name: its name in the module.
            value: its numbers as the graph takes them; None: those of the parameter `name`.
        """
        path = self.path(module)
        tensor = getattr(module, name) if value is None else value
        return self._weight(f"{path}.{name}" if path else name, tensor.detach().cpu().contiguous().numpy())

    def _weight(self, name: str, array: Array) -> Value:
        self._weights.setdefault(name, array)
        return Value(self, name)

    def concat(self, values: Sequence[Operand], axis: int) -> Value:
        """Return values concatenated along an axis."""
        return self.op("Concat", *values, axis=axis) if len(values) > 1 else self.value(values[0])

    def where(self, condition: Value, value: Operand, other: Operand) -> Value:
        """Return `value` where the condition is True, else `other`."""
        return self.op("Where", condition, value, other)

    def range(self, size: Value) -> Value:
        """Return 0, 1, …, size − 1, of a size of shape (1,)."""
        return self.op("Range", np.array(0), size.squeeze(0), np.array(1))

    def scan(
        self,
        step: Callable[[list[Value], list[Value]], tuple[Sequence[Value], Sequence[Value]]],
        states: Sequence[Value],
        sequences: Sequence[Value],
        *,
        reverse: bool = False,
    ) -> tuple[list[Value], list[Value]]:
        """Repeat a step over the first axis of sequences.

        Args:
            step: a function of the states and of one element of each sequence, which returns the next states and the
                outputs of the step. It may use all values of the graph.
            states: initial states.
            sequences: values (T, …).
            reverse: from the last element to the first.

        Returns:
            The final states, and the outputs of all steps, (T, …) each.
        """
        before = [Value(self, self._name(BODY)) for _ in states]
        now = [Value(self, self._name(BODY)) for _ in sequences]
        with self._body() as nodes:
            after, outputs = step(before, now)
            results = [self.op("Identity", value) for value in (*after, *outputs)]  # each under a name of its own
        body = helper.make_graph(nodes, self._name(BODY), _untyped([*before, *now]), _untyped(results))
        directions = {name: [int(reverse)] * count for name, count in _directions(len(sequences), len(outputs))}
        values = self.ops(
            "Scan",
            *states,
            *sequences,
            outputs=len(results),
            body=body,
            num_scan_inputs=len(sequences),
            **directions,
        )
        return list(values[: len(states)]), list(values[len(states) :])

    def weights(self) -> Mapping[str, Array]:
        """Return all weights and constants by name."""
        return self._weights

    def proto(self, name: str) -> onnx.ModelProto:
        """Return the graph as a model of ONNX, still without the numbers of its weights."""
        graph = helper.make_graph(self._scopes[0], name, _infos(self.inputs), _infos(self.outputs))
        opset = helper.make_opsetid("", self.opset)
        ir_version = helper.find_min_ir_version_for([opset])
        return helper.make_model(graph, opset_imports=[opset], ir_version=ir_version, producer_name="unrolled")

    @contextmanager
    def _body(self) -> Iterator[list[onnx.NodeProto]]:
        """Collect the nodes that are appended in the block."""
        self._scopes.append([])
        try:
            yield self._scopes[-1]
        finally:
            self._scopes.pop()

    def _append(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        node = helper.make_node(kind, inputs, outputs, name=f"node.{outputs[0]}", **attributes)
        self._scopes[-1].append(node)

    def _name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}.{self._number}"


def _directions(sequences: int, outputs: int) -> tuple[tuple[str, int], ...]:
    return ("scan_input_directions", sequences), ("scan_output_directions", outputs)


def _infos(ports: Sequence[Port]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
        for name, dtype, shape in ports
    ]


def _untyped(values: Sequence[Value]) -> list[onnx.ValueInfoProto]:
    """Return values as inputs or outputs of a body, whose types follow from its use."""
    return [onnx.ValueInfoProto(name=value.name) for value in values]
