"""Test suite of the six laws that make modules interchangeable: `check(module)` for five, `options_matter` for one.

    split             one call equals any split of it with the state passed on (by step, in chunks, with empty calls)
    causal            inputs after step t never change y up to t, to the bit
    batch_invariance  a sequence's outputs depend neither on other sequences nor on padding, at batch size 1 too
    twin              every other backend that can run equals the reference: outputs, states and every gradient
    round_trip        a saved and loaded module gives the same bits
    options_matter    each option changes something in a context where it applies, or is declared to change nothing

`module` is a cell (one of ours or yours), a layer or a model. A model with an encoder gets a different source for each
sequence. `module` is never changed: the laws run on a copy, in eval mode, in float64 where they compare numbers. A
broken law raises LawError, which names the tensor and the difference.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, autocast, nn

from unrolled import scan
from unrolled.cells import Cell
from unrolled.errors import LawError
from unrolled.kernels.freeze import packed_weights
from unrolled.kernels.native import multiplies_bfloat16
from unrolled.layers import Bidirectional, Blocks, Layer, Recurrent, Score, Stacked, set_backend
from unrolled.models import Features, Model, Pairs
from unrolled.state import State, leaves, select

__all__ = [
    "LAWS",
    "LawResult",
    "Option",
    "batch_invariance",
    "causal",
    "check",
    "options_matter",
    "round_trip",
    "split",
    "twin",
]

LIMIT64 = 1e-10
"""Largest difference allowed for rounding in float64, relative to the larger of 1 and the tensor's largest number:
about 2e-16 an operation, times some thousands of operations, with a wide margin that is far below any real mistake."""


EPS32 = torch.finfo(torch.float32).eps
EPS16 = torch.finfo(torch.bfloat16).eps


class LawResult(NamedTuple):
    """Result of a law.

    Args:
        compared: number of comparisons, 0 where the law does not apply, for the reason `why`.
        worst: largest difference.
    """

    law: str
    compared: int
    worst: float
    why: str = ""

    def __str__(self) -> str:
        if not self.compared:
            return f"{self.law:<16} does not apply: {self.why}"
        return f"{self.law:<16} holds: {self.compared} comparisons, largest difference {self.worst:.1e}"


def check(module: nn.Module, *, seed: int = 0) -> list[LawResult]:
    """Check every law that applies to `module` except `options_matter`, which needs a table of options.

    Args:
        module: a Cell, a Layer or a Model, yours or ours.
        seed: seed of the random inputs.

    Returns:
        One LawResult for each law, printable.

    Raises:
        LawError: a law is broken; the message gives the tensor, the index and the difference.
    """
    return [law(module, seed=seed) for law in LAWS]


def split(module: nn.Module, *, seed: int = 0) -> LawResult:
    """Check that one call equals any split of it with the state passed on: to the bit in the fused scan.

    Applies to causal modules.

    Args:
        module: a Cell, a Layer or a Model.
        seed: seed of the random inputs.

    Returns:
        The number of comparisons and the largest difference; or the reason why the law does not apply.

    Raises:
        LawError: the law is broken; the message gives the tensor, the index and the difference.
    """
    subject = _Subject(module, torch.float64, seed)
    if not subject.causal:
        return LawResult("split", 0, 0.0, "the module is not causal")
    law = _Law("split")
    for alike in _alike(module, subject, seed):
        _split(law, alike)
    return law.result()


def _split(law: _Law, subject: _Subject) -> None:
    B, T = 4, 7
    x = subject.inputs(B, T)
    for lengths in (None, torch.tensor([T, 0, 4, 1])):
        whole, whole_state = subject.run(x, lengths=lengths)
        for cuts in [(cut,) for cut in range(T + 1)] + [(2, 2, 5), tuple(range(1, T))]:
            state: State = None
            pieces: list[Tensor] = []
            for start, stop in zip((0, *cuts), (*cuts, T), strict=True):
                real = None if lengths is None else (lengths - start).clamp(0, stop - start)
                y, state = subject.run(x[:, start:stop], state, real)
                pieces.append(y)
            y = torch.cat(pieces, dim=1) if subject.each else pieces[-1]
            where = f"cut at {', '.join(map(str, cuts))}{subject.how}"
            law.close(f"y, {where}", subject.seen(y, lengths), subject.seen(whole, lengths), subject.exact)
            law.close_states(f"state, {where}", state, whole_state, subject.exact)


def causal(module: nn.Module, *, seed: int = 0) -> LawResult:
    """Check that inputs after step t never change y up to t.

    Applies to causal modules with an output at each step.

    Args:
        module: a Cell, a Layer or a Model.
        seed: seed of the random inputs.

    Returns:
        The number of comparisons and the largest difference; or the reason why the law does not apply.

    Raises:
        LawError: the law is broken; the message gives the tensor, the index and the difference.
    """
    subject = _Subject(module, torch.float32, seed)
    if not subject.causal or not subject.each:
        return LawResult(
            "causal", 0, 0.0, "the module is not causal" if not subject.causal else "it has one output for a sequence"
        )
    law = _Law("causal")
    B, T = 3, 6
    x, other = subject.inputs(B, T), subject.inputs(B, T)
    y, _ = subject.run(x)
    for t in range(T):
        changed, _ = subject.run(torch.cat([x[:, : t + 1], other[:, t + 1 :]], dim=1))
        law.same_bits(f"y up to step {t}", changed[:, : t + 1], y[:, : t + 1])
    return law.result()


def batch_invariance(module: nn.Module, *, seed: int = 0) -> LawResult:
    """Check that a sequence's outputs depend neither on other sequences nor on padding: to the bit in the fused scan.

    Applies to every module.

    Args:
        module: a Cell, a Layer or a Model.
        seed: seed of the random inputs.

    Returns:
        The number of comparisons and the largest difference; or the reason why the law does not apply.

    Raises:
        LawError: the law is broken; the message gives the tensor, the index and the difference.
    """
    law = _Law("batch_invariance")
    for subject in _alike(module, _Subject(module, torch.float64, seed), seed):
        _batch_invariance(law, subject)
    return law.result()


def _batch_invariance(law: _Law, subject: _Subject) -> None:
    B, T = 5, 6
    lengths = torch.tensor([3, T, 0, 1, T - 1])
    x = subject.inputs(B, T)
    y, state = subject.run(x, lengths=lengths)
    if subject.each and not isinstance(subject.module, Model):
        padding = torch.arange(T) >= lengths.unsqueeze(1)
        law.same_bits("y at padded steps (must be 0)", y[padding], torch.zeros_like(y[padding]))
    garbage, garbage_state = subject.run(
        subject.with_garbage(x, lengths), subject.begin(range(B), garbage=True), lengths
    )
    how, exact = subject.how, subject.exact
    law.close(f"y, other padding{how}", subject.seen(garbage, lengths), subject.seen(y, lengths), exact)
    law.close_states(f"state, other padding{how}", garbage_state, state, exact)
    order = torch.tensor([4, 2, 0, 3, 1])
    moved, _ = subject.run(x[order], subject.begin(order.tolist()), lengths[order])
    law.close(
        f"y, sequences in another order{how}",
        subject.seen(moved, lengths[order]),
        subject.seen(y, lengths, order),
        exact,
    )
    for i, length in enumerate(lengths.tolist()):
        alone, alone_state = subject.run(x[i : i + 1, :length], subject.begin([i]))
        together = y[i : i + 1, :length] if subject.each else y[i : i + 1]
        law.close(f"y, sequence {i} of length {length} alone{how}", alone, together, exact)
        law.close_states(f"state, sequence {i} of length {length} alone{how}", alone_state, select(state, [i]), exact)
        if subject.sources is not None:
            alone, _ = subject.run(x[i : i + 1, :length], subject.begin([i], unpadded=True))
            law.close(f"y, sequence {i} with a source alone{how}", alone, together, exact)


def twin(module: nn.Module, *, seed: int = 0) -> LawResult:
    """Check that every other backend that can run equals the reference, in outputs, states and every gradient.

    A backend's float32 may differ from the reference's float64 by 4 times the reference's own error in float32, plus 8
    units in the last place of the tensor's largest number: another order of sums, but no other sum. The own error is
    the largest of three, with parameters that differ by up to 0.1 %, because a single one may be small by luck.

    With bfloat16 products (autocast) the units are those of bfloat16: 8 of them are a sixteenth of the largest number.
    They are compared where all parameters are those of scans, since other products are torch's under autocast.

    Steps of blocks inside `scan.frozen`, which the kernels compute in one call, equal those of the layers in the same
    way, in outputs and states; their own error is the largest of all steps.

    Args:
        module: a Cell, a Layer or a Model.
        seed: seed of the random inputs.

    Returns:
        The number of comparisons and the largest difference; or the reason why the law does not apply.

    Raises:
        LawError: the law is broken; the message gives the tensor, the index and the difference.
    """
    whole, law = _wrapped(module), _Law("twin")
    _twin_of_steps(law, whole, seed)
    layers = [layer for layer in whole.modules() if isinstance(layer, Recurrent)]
    if law.compared and not layers:
        return law.result()
    if not layers:
        return LawResult("twin", 0, 0.0, "the module has no recurrent layer, and no blocks that the kernels compute")
    backends = [name for name in scan.BACKENDS if name != "reference" and all(_runs(name, layer) for layer in layers)]
    if not backends:
        return LawResult("twin", 0, 0.0, "no backend but the reference can run its cells")
    in_scans = {id(p) for layer in layers for p in layer.cell.parameters()}
    of_scans = all(id(p) in in_scans for p in whole.parameters())
    for B, T, lengths in [(4, 7, None), (4, 7, torch.tensor([3, 7, 0, 1])), (1, 1, None), (1, 5, None), (3, 0, None)]:
        exact = _gradients(whole, "reference", torch.float64, B, T, lengths, seed)
        own = dict.fromkeys(exact, 0.0)
        for nudge in range(3):
            wide, narrow = (
                _gradients(whole, "reference", dtype, B, T, lengths, seed, nudge=nudge)
                for dtype in (torch.float64, torch.float32)
            )
            own = {name: max(own[name], _largest(narrow[name].double() - wide[name])) for name in own}
        precisions = [(name, name, EPS32) for name in backends]
        if "fused" in backends and multiplies_bfloat16() and of_scans:
            precisions.append(("fused", "fused in bfloat16", EPS16))
        for name, label, eps in precisions:
            with autocast("cpu", torch.bfloat16, enabled=eps is EPS16):
                theirs = _gradients(whole, name, torch.float32, B, T, lengths, seed)
            for tensor, value in theirs.items():
                law.within(
                    f"{label}: {tensor} at B={B}, T={T}" + ("" if lengths is None else ", ragged"),
                    value.double(),
                    exact[tensor],
                    4 * own[tensor] + 8 * eps * _largest(exact[tensor]),
                )
    return law.result()


def _twin_of_steps(law: _Law, module: Layer | Model, seed: int) -> None:
    """Compare single steps inside `scan.frozen` with those of the layers, where the kernels compute them."""
    stacks = [part for part in module.modules() if isinstance(part, Blocks)]
    if not stacks or not module.causal:
        return

    def run(dtype: torch.dtype, lengths: Tensor | None, *, by_kernels: bool) -> list[Tensor]:
        subject = _Subject(module, dtype, seed)
        x, steps = subject.inputs(4, 3), subject.inputs(4, 4)
        found = []
        _, state = subject.run(x, lengths=lengths)
        with scan.frozen(subject.module) if by_kernels else nullcontext():
            for t in range(steps.shape[1]):
                y, state = subject.run(steps[:, t : t + 1], state)
                found.append(y)
            computed = [part for part in subject.module.modules() if packed_weights(part, "step") is not None]
        if by_kernels and not computed:
            return []
        return [torch.stack(found), *(leaf for leaf in leaves(state) if leaf.is_floating_point())]

    for lengths in (None, torch.tensor([2, 3, 1, 3])):
        with torch.no_grad():
            tensors = run(torch.float32, lengths, by_kernels=True)
            narrow, wide = (run(dtype, lengths, by_kernels=False) for dtype in (torch.float32, torch.float64))
        for i, value in enumerate(tensors):
            limit = 4 * _largest(narrow[i].double() - wide[i]) + 8 * EPS32 * _largest(wide[i])
            what = "y of single steps" if i == 0 else f"state after single steps, tensor {i}"
            law.within(what + ("" if lengths is None else ", ragged"), value.double(), wide[i], limit)


def round_trip(module: nn.Module, *, seed: int = 0) -> LawResult:
    """Check that a saved and loaded module gives the same bits: its state_dict holds all that its outputs depend on.

    Args:
        module: a Cell, a Layer or a Model.
        seed: seed of the random inputs.

    Returns:
        The number of comparisons and the largest difference; or the reason why the law does not apply.

    Raises:
        LawError: the law is broken; the message gives the tensor, the index and the difference.
    """
    subject = _Subject(module, torch.float32, seed)
    law = _Law("round_trip")
    saved = safetensors.torch.save({name: value.contiguous() for name, value in subject.module.state_dict().items()})
    loaded = _Subject(module, torch.float32, seed)
    with torch.no_grad():
        for parameter in loaded.module.parameters():
            parameter.add_(1)
    loaded.module.load_state_dict(safetensors.torch.load(saved))
    x = subject.inputs(3, 5)
    y, state = subject.run(x)
    y_loaded, state_loaded = loaded.run(x)
    law.same_bits("y", y_loaded, y)
    for i, (a, b) in enumerate(zip(leaves(state_loaded), leaves(state), strict=True)):
        law.same_bits(f"state, tensor {i}", a, b)
    return law.result()


class Option(NamedTuple):
    """An option that `options_matter` tests.

    Args:
        name: its name in the settings.
        value: a value other than its default.
        context: settings in which it applies.
        changes: whether it should change anything. False is for options that must change nothing, such as a backend.
        within: largest relative difference where nothing should change; 0: to the bit.
    """

    name: str
    value: Any
    context: Mapping[str, Any] = {}
    changes: bool = True
    within: float = 0.0


def options_matter(build: Callable[[Mapping[str, Any]], Mapping[str, Tensor]], options: list[Option]) -> LawResult:
    """Check that each option, set in its context, changes something, or nothing where `changes` is False.

    Args:
        build: settings -> named tensors that an option may change: parameters, outputs, gradients. It must be
            deterministic for equal settings.
        options: the options to test.

    Raises:
        LawError: an option changed nothing, or changed something against `changes`; the message names it.
    """
    law = _Law("options_matter")
    for option in options:
        before, after = build(option.context), build({**option.context, option.name: option.value})
        same = before.keys() == after.keys() and all(
            a.shape == after[name].shape
            and (torch.equal(a, after[name]) if not option.within else _off(after[name], a) <= option.within)
            for name, a in before.items()
        )
        law.count()
        if same == option.changes:
            what = "changed nothing" if same else "changed something, but has changes=False"
            raise LawError(f"options_matter: {option.name}={option.value!r} {what} (in {dict(option.context)})")
    return law.result()


LAWS: tuple[Callable[..., LawResult], ...] = (split, causal, batch_invariance, twin, round_trip)
"""The laws of `check`; `options_matter` is called separately because it needs a table of options."""


class _Law:
    """Comparison of tensors that records the largest difference and raises LawError where one is too large."""

    def __init__(self, name: str) -> None:
        self.name, self.compared, self.worst = name, 0, 0.0

    def count(self) -> None:
        self.compared += 1

    def close(self, what: str, got: Tensor, wanted: Tensor, exact: bool = False) -> None:
        self.within(what, got, wanted, 0.0 if exact else LIMIT64 * max(1.0, _largest(wanted)))

    def same_bits(self, what: str, got: Tensor, wanted: Tensor) -> None:
        self.within(what, got, wanted, 0.0)

    def within(self, what: str, got: Tensor, wanted: Tensor, limit: float) -> None:
        self.count()
        if got.shape != wanted.shape:
            raise LawError(f"{self.name}: {what} has shape {tuple(got.shape)}, not {tuple(wanted.shape)}")
        if not got.numel():
            return
        if not bool(got.isfinite().all()):
            raise LawError(f"{self.name}: {what} is not finite")
        difference = (got - wanted).abs()
        worst = float(difference.max())
        if not worst <= limit:
            place = tuple(int(i) for i in torch.unravel_index(difference.argmax(), difference.shape))
            raise LawError(f"{self.name}: {what} is off by {worst:.3g} (limit {limit:.3g}) at {list(place)}")
        self.worst = max(self.worst, worst)

    def close_states(self, what: str, got: State, wanted: State, exact: bool = False) -> None:
        """Compare two states leaf by leaf. A cache is as long as the longest sequence of its batch, padded with 0."""
        for i, (a, b) in enumerate(zip(leaves(got), leaves(wanted), strict=True)):
            most = [max(sizes) for sizes in zip(a.shape[1:], b.shape[1:], strict=True)]
            a, b = (leaf if [*leaf.shape[1:]] == most else _widened(leaf, most) for leaf in (a, b))
            self.close(f"{what}, tensor {i}", a, b, exact)

    def result(self) -> LawResult:
        return LawResult(self.name, self.compared, self.worst)


class _Subject:
    """Copy of a module in eval mode, with random inputs. exact: whether results must agree to the bit (fused scan)."""

    def __init__(self, module: nn.Module, dtype: torch.dtype, seed: int, *, exact: bool = False) -> None:
        self.exact, self.how = exact, ", fused" if exact else ""
        self.module = copy.deepcopy(_wrapped(module)).to(dtype).eval()
        self.dtype = dtype
        self.generator = torch.Generator().manual_seed(seed)
        self.causal: bool = self.module.causal
        self.each = not isinstance(self.module, Model) or self.module.answer == "each"
        self.sources: Tensor | None = None
        if isinstance(self.module, Model) and isinstance(self.module.inputs, Pairs):
            self.source_lengths = torch.tensor([3, 5, 1, 4, 2])
            self.sources = torch.randint(1, self.module.inputs.source_size, (5, 5), generator=self.generator)

    @torch.no_grad()
    def begin(self, rows: Sequence[int], *, garbage: bool = False, unpadded: bool = False) -> State:
        """Return the initial state of the sequences `rows`: None, or the encoded sources of a model with an encoder.

        Args:
            garbage: whether the sources have other padding.
            unpadded: whether they have none.
        """
        if self.sources is None:
            return None
        assert isinstance(self.module, Model)
        source, lengths = self.sources[list(rows)], self.source_lengths[list(rows)]
        if garbage:
            source = self.with_garbage(source, lengths)
        return self.module.encode(source[:, : int(lengths.max())] if unpadded else source, lengths)

    def inputs(self, B: int, T: int) -> Tensor:
        """Return random ids (B, T), or features (B, T, D)."""
        if isinstance(self.module, Model):
            if not isinstance(self.module.inputs, Features):
                return torch.randint(1, self.module.inputs.vocabulary_size, (B, T), generator=self.generator)
            size = self.module.inputs.size
        else:
            assert isinstance(self.module, Layer)
            size = self.module.input_size
        return torch.randn(B, T, size, generator=self.generator, dtype=torch.float64).to(self.dtype)

    def with_garbage(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the inputs with other padding: the largest id, or a number so large that any use of it shows."""
        garbage = int(x.max()) if not x.is_floating_point() else 1e6
        padding = torch.arange(x.shape[1]) >= lengths.unsqueeze(1)
        return x.masked_fill(padding.view(*padding.shape, *[1] * (x.dim() - 2)), garbage)

    @torch.no_grad()
    def run(self, x: Tensor, state: State = None, lengths: Tensor | None = None) -> tuple[Tensor, State]:
        y, state = self.module(x, self.begin(range(len(x))) if state is None else state, lengths)
        return y, state

    def seen(self, y: Tensor, lengths: Tensor | None, order: Tensor | None = None) -> Tensor:
        """Return the outputs at real steps, or all where a sequence has one output, with sequences in `order`."""
        if order is not None:
            y, lengths = y[order], None if lengths is None else lengths[order]
        if lengths is None or not self.each:
            return y
        return y[torch.arange(y.shape[1]) < lengths.unsqueeze(1)]


def _alike(module: nn.Module, subject: _Subject, seed: int) -> list[_Subject]:
    """Return the subject in float64 and, where the fused scan can run all of its layers, its copy in float32."""
    layers = [layer for layer in subject.module.modules() if isinstance(layer, Layer | Score)]
    if not all(type(layer) in (Recurrent, Bidirectional, Stacked) for layer in layers):
        return [subject]
    fused = _Subject(module, torch.float32, seed, exact=True)
    recurrent = [layer for layer in fused.module.modules() if isinstance(layer, Recurrent)]
    if not recurrent or not all(_runs("fused", layer) for layer in recurrent):
        return [subject]
    set_backend(fused.module, "fused")
    return [subject, fused]


def _runs(backend: str, layer: Recurrent) -> bool:
    """Return whether a backend can run a layer."""
    return all(c.holds for c in scan.conditions(backend, layer.cell, zoned=layer.zoneout > 0))


def _wrapped(module: nn.Module) -> Layer | Model:
    """Return a cell as a recurrent layer, and a layer or model as it is."""
    if isinstance(module, Cell):
        return Recurrent(module)
    if isinstance(module, Layer | Model):
        return module
    raise TypeError(f"the laws apply to a Cell, a Layer or a Model: got {type(module).__name__}")


def _gradients(
    module: nn.Module,
    backend: str,
    dtype: torch.dtype,
    B: int,
    T: int,
    lengths: Tensor | None,
    seed: int,
    *,
    nudge: int = 0,
) -> dict[str, Tensor]:
    """Return outputs, states, and the gradients of a random function of both, by name, from a non-zero state."""
    subject = _Subject(module, dtype, seed)
    set_backend(subject.module, backend)
    if nudge:  # the same numbers in each dtype
        draw = torch.Generator().manual_seed(seed + nudge)
        with torch.no_grad():
            for parameter in subject.module.parameters():
                change = 2 * torch.rand(parameter.shape, generator=draw, dtype=torch.float64) - 1
                parameter.copy_((parameter.float().double() * (1 + 1e-3 * change)).float())
    before, x = subject.inputs(B, 2), subject.inputs(B, T)
    entered: list[Tensor] = []
    if subject.sources is not None:  # gradients reach the encoder through the state
        assert isinstance(subject.module, Model)
        state = subject.module.encode(subject.sources[:B], subject.source_lengths[:B])
    else:
        _, state = subject.run(before)
        entered = [leaf.requires_grad_() for leaf in leaves(state) if leaf.is_floating_point()]
    if x.is_floating_point():
        entered.append(x.requires_grad_())
    y, after = subject.module(x, state, lengths)
    tensors = {"y": y, **{f"state {i}": leaf for i, leaf in enumerate(leaves(after))}}
    loss = torch.zeros((), dtype=dtype)
    for value in tensors.values():
        weights = torch.randn(value.shape, generator=subject.generator, dtype=torch.float64).to(dtype)
        loss = loss + (value * weights).sum()
    if not loss.requires_grad:
        return {name: value.detach() for name, value in tensors.items()}
    named: dict[str, Tensor] = {f"gradient of {name}": p for name, p in subject.module.named_parameters()}
    named |= {f"gradient of input {i}": leaf for i, leaf in enumerate(entered)}
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    tensors |= {
        name: torch.zeros_like(p) if gradient is None else gradient
        for (name, p), gradient in zip(named.items(), gradients, strict=True)
    }
    return {name: value.detach() for name, value in tensors.items()}


def _widened(leaf: Tensor, sizes: list[int]) -> Tensor:
    wide = leaf.new_zeros(leaf.shape[0], *sizes)
    wide[tuple(slice(size) for size in leaf.shape)] = leaf
    return wide


def _largest(tensor: Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0


def _off(got: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, relative to the larger of 1 and the largest expected number."""
    return _largest(got.double() - wanted.double()) / max(1.0, _largest(wanted))
