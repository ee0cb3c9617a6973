"""Modules as objects: copies, files, dtypes, hooks, containers."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import torch
from torch import Tensor, nn

from transforms.sides import CELLS, LAYERS, transform
from transforms.with_arguments import every
from transforms.with_autograd import first, leaves, total


def recurrent(m: nn.Module) -> str:
    """Return the name of the recurrent weights."""
    return "weight_hh_l0" if isinstance(m, nn.RNNBase) else "weight_hh"


def trained(m: nn.Module, x: Tensor) -> Any:
    """Return outputs and the gradients of the parameters by name."""
    m.zero_grad()
    y = m(x)
    total(y).backward()
    return y, {name: p.grad for name, p in m.named_parameters()}


@transform("deepcopy")
def deepcopy(m: nn.Module, x: Tensor) -> Any:
    copied = copy.deepcopy(m)
    with torch.no_grad():
        next(m.parameters()).zero_()
    return trained(copied, x), trained(m, x), type(copied) is type(m)


@transform("shallow copy")
def shallow(m: nn.Module, x: Tensor) -> Any:
    return trained(copy.copy(m), x)


@transform("deepcopy after a backward pass")
def deepcopy_later(m: nn.Module, x: Tensor) -> Any:
    trained(m, x)
    return trained(copy.deepcopy(m), x)


@transform("pickle")
def pickled(m: nn.Module, x: Tensor) -> Any:
    copied = pickle.loads(pickle.dumps(m))
    return trained(copied, x), type(copied) is type(m)


@transform("torch.save and torch.load")
def saved(m: nn.Module, x: Tensor) -> Any:
    file = io.BytesIO()
    torch.save(m, file)
    file.seek(0)
    return trained(torch.load(file, weights_only=False), x)


@transform("torch.load, weights_only")
def saved_state(m: nn.Module, x: Tensor) -> Any:
    file = io.BytesIO()
    torch.save(m.state_dict(), file)
    file.seek(0)
    m.load_state_dict({name: t * 2 for name, t in torch.load(file).items()})
    return trained(m, x)


@transform("state_dict and strict loading")
def state_dict(m: nn.Module, x: Tensor) -> Any:
    own = m.state_dict()
    without = dict(list(own.items())[1:])
    wrong = {name: t[..., :-1] for name, t in own.items()}
    return [
        list(own),
        *every(
            lambda: str(m.load_state_dict(without)),
            lambda: str(m.load_state_dict(without, strict=False)),
            lambda: str(m.load_state_dict({**own, "more": x})),
            lambda: str(m.load_state_dict(wrong)),
            lambda: str(m.load_state_dict(own)),
        ),
        m(x),
    ]


@transform("load_state_dict, assign")
def assigned(m: nn.Module, x: Tensor) -> Any:
    m.load_state_dict({name: (t * 2).clone() for name, t in m.state_dict().items()}, assign=True)
    return trained(m, x)


@transform("loading into a module on meta")
def assigned_meta(m: nn.Module, x: Tensor) -> Any:
    own = {name: t.clone() for name, t in m.state_dict().items()}
    m = m.to("meta")
    m.load_state_dict(own, assign=True)
    return trained(m, x)


@transform("to_empty")
def to_empty(m: nn.Module, x: Tensor) -> Any:
    own = {name: t.clone() for name, t in m.state_dict().items()}
    m = m.to("meta").to_empty(device="cpu")
    m.load_state_dict(own)
    return trained(m, x)


@transform("repr, names, attributes")
def names(m: nn.Module, x: Tensor) -> Any:
    return [
        repr(m), m.extra_repr(), m._get_name(), [n for n, _ in m.named_parameters()], [n for n, _ in m.named_buffers()],
        sorted(k for k in vars(m) if not k.startswith("__")), getattr(m, "all_weights", None), m.training,
    ]  # fmt: skip


@transform("reset_parameters")
def reset(m: nn.Module, x: Tensor) -> Any:
    torch.manual_seed(5)
    m.reset_parameters()
    return trained(m, x)


@transform("double")
def double(m: nn.Module, x: Tensor) -> Any:
    return trained(m.double(), x.double())


@transform("half")
def half(m: nn.Module, x: Tensor) -> Any:
    return trained(m.half(), x.half())


@transform("half, no_grad")
def half_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return m.half()(x.half())


@transform("bfloat16")
def bfloat16(m: nn.Module, x: Tensor) -> Any:
    return trained(m.bfloat16(), x.bfloat16())


@transform("bfloat16, no_grad")
def bfloat16_no_grad(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        y = m.bfloat16()(x.bfloat16())
        return y, [str(leaf.dtype) for leaf in leaves(y)], m(x.bfloat16(), y[1] if isinstance(m, nn.RNNBase) else y)


@transform("complex64")
def complex64(m: nn.Module, x: Tensor) -> Any:
    m.to(torch.complex64)(x.to(torch.complex64))


@transform("autocast in bfloat16")
def autocast(m: nn.Module, x: Tensor) -> Any:
    with torch.autocast("cpu", torch.bfloat16):
        y = m(x)
    total([leaf.float() for leaf in leaves(y)]).backward()
    return y, [str(leaf.dtype) for leaf in leaves(y)], [p.grad for p in m.parameters()]


@transform("autocast in float16, no_grad")
def autocast_half(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        return every(lambda: m(x))


@transform("autocast of bfloat16 input")
def autocast_mixed(m: nn.Module, x: Tensor) -> Any:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        return every(lambda: m(x.bfloat16()))


@transform("to, several times")
def moved(m: nn.Module, x: Tensor) -> Any:
    return trained(m.double().float().to("cpu").to(memory_format=torch.contiguous_format), x)


@transform("one parameter in another dtype")
def mixed(m: nn.Module, x: Tensor) -> Any:
    setattr(m, recurrent(m), nn.Parameter(getattr(m, recurrent(m)).detach().double()))
    return every(lambda: m(x))


@transform("share_memory")
def shared(m: nn.Module, x: Tensor) -> Any:
    m.share_memory()
    return trained(m, x), [p.is_shared() for p in m.parameters()]


@transform("forward hooks")
def forward_hooks(m: nn.Module, x: Tensor) -> Any:
    seen: list[Any] = []
    m.register_forward_pre_hook(lambda m, arguments: (arguments[0] * 2, *arguments[1:]))
    m.register_forward_hook(lambda m, arguments, y: seen.append((arguments, y)))
    m.register_forward_hook(lambda m, arguments, y: [leaf + 1 for leaf in leaves(y)])
    return m(x), seen


@transform("forward hooks with keywords")
def keyword_hooks(m: nn.Module, x: Tensor) -> Any:
    seen: list[Any] = []
    m.register_forward_pre_hook(lambda m, a, k: seen.append((len(a), sorted(k))), with_kwargs=True)
    m.register_forward_hook(lambda m, a, k, y: seen.append(sorted(k)), with_kwargs=True, always_call=True)
    return m(input=x), seen


@transform("full backward hooks")
def backward_hooks(m: nn.Module, x: Tensor) -> Any:
    seen: list[Any] = []
    m.register_full_backward_hook(lambda m, into, out: seen.append((into, out)))
    m.register_full_backward_pre_hook(lambda m, out: [None if g is None else g * 2 for g in out])
    x.requires_grad_()
    total(m(x)).backward()
    return seen, x.grad, [p.grad for p in m.parameters()]


@transform("full backward hooks, y in place")
def backward_hooks_in_place(m: nn.Module, x: Tensor) -> Any:
    m.register_full_backward_hook(lambda m, into, out: None)
    y = first(m, x.requires_grad_())
    y += 1
    total(y).backward()


@transform("global module hooks")
def global_hooks(m: nn.Module, x: Tensor) -> Any:
    seen: list[str] = []
    handles = [
        nn.modules.module.register_module_forward_pre_hook(lambda m, a: seen.append(type(m).__name__)),
        nn.modules.module.register_module_forward_hook(lambda m, a, y: seen.append(type(m).__name__)),
    ]
    try:
        return m(x), seen
    finally:
        for handle in handles:
            handle.remove()


@transform("train and eval")
def modes(m: nn.Module, x: Tensor) -> Any:
    return m.eval()(x), m.training, m.train()(x), m.training


@transform("swap_parameters_on_conversion")
def swapped(m: nn.Module, x: Tensor) -> Any:
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        m = m.double()
        m.load_state_dict({name: t * 2 for name, t in m.state_dict().items()})
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    return trained(m, x.double())


@transform("overwrite_module_params_on_conversion")
def overwritten(m: nn.Module, x: Tensor) -> Any:
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        m = m.double()
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(False)
    return trained(m, x.double())


@transform("inside Sequential, ModuleList and ModuleDict")
def containers(m: nn.Module, x: Tensor) -> Any:
    model = nn.ModuleDict({"a": nn.Sequential(nn.Linear(3, 3), m)})
    return trained(model["a"], x), repr(model).replace("unrolled.nn", "")


@transform("after a lazy module")
def lazy(m: nn.Module, x: Tensor) -> Any:
    model = nn.Sequential(nn.LazyLinear(3), m)
    torch.manual_seed(4)
    return trained(model, x)


@transform("DataParallel on the CPU")
def data_parallel(m: nn.Module, x: Tensor) -> Any:
    return trained(nn.DataParallel(m), x)


@transform("subclass with its own forward")
def subclass(m: nn.Module, x: Tensor) -> Any:
    class Own(type(m)):  # type: ignore[misc]
        def forward(self, x: Tensor, hx: Any = None) -> Any:
            return super().forward(x * 2, hx)

    m.__class__ = Own
    return trained(m, x)


@transform("check_forward_args and its kin", on=LAYERS)
def checks(m: nn.RNNBase, x: Tensor) -> Any:
    state = torch.zeros(1, 9, 9)
    return every(
        lambda: m.check_forward_args(x, state, None),
        lambda: m.check_input(x[..., :1], None),
        lambda: m.check_hidden_size(state, (1, 2, 3)),
        lambda: m.get_expected_hidden_size(x, None),
        lambda: m.permute_hidden(state, None),
        lambda: m.flatten_parameters(),
    )


@transform("cells in a loop", on=CELLS)
def loop(m: nn.Module, x: Tensor) -> Any:
    state, outputs = None, []
    for k in range(4):
        state = m(x * k, state)
        outputs += leaves(state)
    total(outputs).backward()
    return outputs, [p.grad for p in m.parameters()]


@transform("cells in a loop, y += 1", on=CELLS)
def loop_in_place(m: nn.Module, x: Tensor) -> Any:
    state = None
    for k in range(3):
        state = m(x * k, state)
    leaf = leaves(state)[0]
    leaf += 1
    return torch.autograd.grad(leaf.sum(), list(m.parameters()))
