"""Every node of every diagram against what a real module computes."""

import dataclasses

import pytest
import torch

from unrolled.cells import ElmanCell, GRUCell, LSTMCell
from unrolled.errors import ConfigError
from unrolled.inside import diagrams
from unrolled.inside.diagrams import DIAGRAMS, Diagram, Node, Wire, load, morphs
from unrolled.inside.diagrams.formula import read
from unrolled.layers import Additive, CrossAttention, Dot, General, Memory, SelfAttention
from unrolled.layers.attention import split
from unrolled.scan import scan
from unrolled.scan.replay import replay

CLOSE = 1e-6  # float32, sums of some ten numbers of order 1
T, S, D, H = 9, 7, 5, 6
HEADS = ("self_attention", "cross_attention")


def cell_trace(cell, *, reverse=False):
    """What a trace holds of a layer that runs `cell`, from the cell itself."""
    name = type(cell).__name__.removesuffix("Cell").lower()
    layer = f"{name}.l0" + (".reverse" if reverse else "")
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    x, first = torch.randn(1, T, D), cell.State(*(torch.randn(1, H) for _ in cell.State._fields))
    y, _ = scan(cell, x, first, reverse=reverse)
    found = replay(cell, x, y, first, reverse=reverse)
    before = torch.cat([y[:, 1:], first.h[:, None]] if reverse else [first.h[:, None], y[:, :-1]], dim=1)
    own = {
        "from_x": (x @ cell.weight_x.T).unflatten(2, (-1, H)),
        "from_h": (before @ cell.weight_h.T).unflatten(2, (-1, H)),
        **{key: getattr(found.gates, key) for key in ("i", "f", "g", "o", "r", "z", "n") if hasattr(found.gates, key)},
        **found.states._asdict(),
        **{f"{key}0": value for key, value in first._asdict().items()},
    }
    tensors = {f"{layer}.{key}": value[0].detach() for key, value in own.items()}
    tensors[f"{layer}.bias"] = cell.bias.detach().unflatten(0, (-1, H))
    if hasattr(cell, "bias_n"):
        tensors[f"{layer}.bias_n"] = cell.bias_n.detach()
    return tensors, layer


def attention_trace(score, outputs):
    query, memory = torch.randn(1, T, H), Memory(outputs, score.keys(outputs), torch.tensor([S]), ())
    weights, context = score(query, memory, memory.real)
    own = {
        "query": query,
        "score": score.scores(query, memory),
        "weights": weights,
        "context": context,
        "outputs": outputs,
    }
    if isinstance(score, Additive):
        own |= {"projected_query": score.query(query), "v": score.v[None]}
    if not isinstance(score, Dot):
        own["key"] = memory.keys
    return {f"attention.{key}": value[0].detach() for key, value in own.items()}, "attention"


def heads_trace(causal):
    layer = SelfAttention(8, 2, causal=causal)
    x = torch.randn(1, T, 8)
    query, key, value = layer.heads(x)
    weights = layer.weights(x)
    score = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
    if causal:
        score = score.masked_fill(~torch.ones(T, T, dtype=torch.bool).tril(), -torch.inf)
    own = {"query": query, "key": key, "value": value, "score": score, "weights": weights, "context": weights @ value}
    return {f"transformer.l0.{key}": value[0].detach() for key, value in own.items()}, "transformer.l0"


def cross_trace():
    layer, x, outputs = CrossAttention(8, H, 2), torch.randn(1, T, 8), torch.randn(1, S, H)
    query, (key, value) = split(layer.query(x), 2), layer.keys(outputs)
    weights = layer.weights(x, key, torch.tensor([S]))
    score = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
    own = {"query": query, "key": key, "value": value, "score": score, "weights": weights, "context": weights @ value}
    return {f"transformer.l0.cross.{key}": value[0].detach() for key, value in own.items()}, "transformer.l0.cross"


def traced(name, variant=None):
    """What stands for a trace of the architecture that a diagram is of."""
    torch.manual_seed(1)
    outputs = torch.randn(1, S, H)
    return {
        "elman": lambda: cell_trace(ElmanCell(D, H), reverse=bool(variant)),
        "lstm": lambda: cell_trace(LSTMCell(D, H), reverse=bool(variant)),
        "gru": lambda: cell_trace(GRUCell(D, H), reverse=bool(variant)),
        "fixed_vector": lambda: ({"attention.outputs": outputs[0]}, "attention"),
        "attention": lambda: attention_trace(Additive(H, H, 4), outputs),
        "general_attention": lambda: attention_trace(General(H, H), outputs),
        "dot_attention": lambda: attention_trace(Dot(H, H), outputs),
        "self_attention": lambda: heads_trace(bool(variant)),
        "cross_attention": cross_trace,
    }[name]()


@pytest.mark.parametrize("variant", [None, "other"])
@pytest.mark.parametrize("name", DIAGRAMS)
def test_every_node_is_what_the_module_computes(name, variant):
    diagram = load(name)
    trace, layer = traced(name, variant)
    for head in (0, 1) if name in HEADS else (None,):
        found = diagram.deviations(trace, layer, head)
        assert set(found) == {own for own, node in diagram.nodes.items() if node.tensor and node.formula}
        assert all(worst <= CLOSE for worst in found.values()), found


@pytest.mark.parametrize("name", DIAGRAMS)
def test_every_node_has_a_value_and_every_tensor_a_name(name):
    diagram = load(name)
    trace, layer = traced(name)
    values = diagram.values(trace, layer, 0 if name in HEADS else None)
    without = {own for own, node in diagram.nodes.items() if node.kind == "input"}
    assert set(values) == set(diagram.nodes) - without
    assert all(value.tensor.dim() == len(value.axes) for value in values.values())
    named = {diagram.tensor_name(own, layer) for own in diagram.nodes} - {None}
    assert named <= set(trace)
    assert set(trace) <= named | {f"{layer}.{first}" for first in ("h0", "c0")}, "a tensor that no node shows"


def test_a_wrong_formula_is_seen():
    diagram = load("lstm")
    wrong = {**diagram.nodes, "c": diagram.nodes["c"]._replace(formula="kept − written")}
    trace, layer = traced("lstm")
    assert Diagram("lstm", "", "", wrong, ()).deviations(trace, layer)["c"] > 0.1


def test_boxes_do_not_overlap():
    for name in DIAGRAMS:
        layouts = load(name).layouts
        positions = [node.position for node in load(name).nodes.values()] if not layouts else []
        for i, (x, y) in enumerate(positions):
            assert all(abs(x - a) >= 1 or abs(y - b) >= 1 for a, b in positions[:i]), name
        for layout in layouts.values():
            centres = [mark.at for mark in layout.marks.values()]
            for i, (x, y) in enumerate(centres):
                assert all(abs(x - a) >= 60 or abs(y - b) >= 50 for a, b in centres[:i]), (name, x, y)


def test_wires_of_a_layout_carry_what_formulas_read():
    lstm = load("lstm")
    wide = lstm.layouts["wide"]
    cut = wide._replace(wires=tuple(wire for wire in wide.wires if (wire.value, wire.target) != ("f", "kept")))
    with pytest.raises(ValueError, match=r"diagram lstm, wide: kept needs wires from \['c_before', 'f'\]"):
        diagrams._check_layouts(dataclasses.replace(lstm, layouts={"wide": cut}))


def test_wires_that_are_not_what_formulas_read_are_refused():
    a, b = Node("a", "a", "input", (0, 0)), Node("b", "b", "sum", (1, 0), formula="tanh(a)")
    diagrams._check(Diagram("d", "", "", {"a": a, "b": b}, (Wire("a", "b"),)))
    with pytest.raises(ValueError, match="wires and formulas differ"):
        diagrams._check(Diagram("d", "", "", {"a": a, "b": b}, ()))
    with pytest.raises(ValueError, match="unknown kind odd"):
        diagrams._check(Diagram("d", "", "", {"a": a._replace(kind="odd")}, ()))


def test_an_unknown_diagram_names_the_nearest():
    with pytest.raises(ConfigError, match='no diagram "lstmm" .did you mean "lstm"'):
        load("lstmm")


@pytest.mark.parametrize("morph", morphs(), ids=lambda morph: f"{morph.old}-{morph.new}")
def test_a_morph_accounts_for_every_node_once(morph):
    old, new = load(morph.old), load(morph.new)
    left = [*morph.keeps, *(own for group in morph.merges.values() for own in group), *morph.drops]
    arrived = [*morph.keeps.values(), *morph.merges, *morph.adds]
    assert sorted(left) == sorted(old.nodes)
    assert sorted(arrived) == sorted(new.nodes)


@pytest.mark.parametrize("morph", morphs(), ids=lambda morph: f"{morph.old}-{morph.new}")
def test_what_a_morph_keeps_has_the_formula_it_had_unless_it_says_so(morph):
    old, new = load(morph.old), load(morph.new)
    renamed = dict(morph.keeps) | {own: name for name, group in morph.merges.items() for own in group}

    def written(formula):
        if formula.sign == "name":
            return renamed.get(formula.operands[0], f"{formula.operands[0]}, dropped")
        return (formula.sign, *map(written, formula.operands))

    def plain(formula):
        return formula.operands[0] if formula.sign == "name" else (formula.sign, *map(plain, formula.operands))

    changed = set()
    for was, name in morph.keeps.items():
        before, after = old.nodes[was].formula, new.nodes[name].formula
        if (before and written(read(before))) != (after and plain(read(after))):
            changed.add(name)
    assert changed == set(morph.changes)


def test_the_morphs_are_the_steps_of_the_lineage():
    assert [(morph.old, morph.new) for morph in morphs()] == [
        ("elman", "lstm"), ("lstm", "gru"), ("fixed_vector", "attention"), ("attention", "self_attention")
    ]  # fmt: skip
    assert all(morph.problem and morph.fix for morph in morphs())
