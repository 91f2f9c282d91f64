"""What a network is, read from one forward pass: the layers that lead to its classifier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from ncollapse.torch._heads import check_head

WEIGHTED = {"addmm", "mm", "bmm", "baddbmm", "mv", "linear", "embedding"}
CONVOLUTIONS = {"convolution", "_convolution", "mkldnn_convolution", "cudnn_convolution"}
ROUTES = {
    *("view", "_unsafe_view", "reshape", "flatten", "transpose", "t", "permute", "clone"),
    *("contiguous", "detach", "alias", "unsqueeze", "squeeze", "expand", "_to_copy", "select"),
    *("slice", "index", "native_dropout"),
}
"""Operations that move entries, and dropout, which does nothing in evaluation."""
AVERAGES = {"mean", "avg_pool1d", "avg_pool2d", "avg_pool3d"} | {
    f"_adaptive_avg_pool{n}d" for n in (1, 2, 3)
}
RECTIFIERS = {"relu", "clamp_min", "threshold"}
SHRINKING = RECTIFIERS | {"leaky_relu", "gelu", "silu", "elu", "tanh", "mish", "hardtanh"}
"""Activations with |σ(z)| ≤ |z|."""
ACTIVATIONS = SHRINKING | {
    "sigmoid",
    "softplus",
    "hardsigmoid",
    "hardswish",
    "prelu",
    "celu",
    "selu",
}
NORMS = ("batch_norm", "layer_norm", "group_norm", "rms_norm", "instance_norm")


@dataclass(frozen=True, eq=False)
class Node:
    """An operation of the forward pass; ``data``: its value depends on the batch."""

    operation: str
    inputs: tuple[Node, ...] = ()
    data: bool = False
    name: str = ""

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters that enter it, not through the data."""
        if self.name:
            return (self.name,)
        return tuple(name for node in self.inputs if not node.data for name in node.parameters)

    @property
    def sources(self) -> list[Node]:
        """The distinct inputs that depend on the batch."""
        return list(dict.fromkeys(node for node in self.inputs if node.data))

    @property
    def weighted(self) -> bool:
        """Whether it multiplies the data with a parameter's matrix."""
        return self.operation in WEIGHTED | CONVOLUTIONS and bool(self.parameters)

    @property
    def norm(self) -> str | None:
        return next((norm for norm in NORMS if norm in self.operation), None)


class Trace(TorchDispatchMode):
    """Records the operations of one forward pass of ``model``; a context manager."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.parameters = dict(model.named_parameters())
        self.nodes: list[Node] = []
        self._of = WeakTensorKeyDictionary()
        for name, parameter in self.parameters.items():
            self._of[parameter] = Node("parameter", name=name)

    def begin(self, inputs: Any) -> Trace:
        """Tensors in ``inputs`` are the data."""
        for tensor in _tensors(inputs):
            self._of[tensor] = Node("input", data=True)
        return self

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        inputs = tuple(
            self._of[tensor] for tensor in _tensors((args, kwargs)) if tensor in self._of
        )
        outputs = func(*args, **(kwargs or {}))
        if inputs:
            operation = func.overloadpacket.__name__.removesuffix("_")
            node = Node(operation, inputs, any(entry.data for entry in inputs))
            self.nodes.append(node)
            for tensor in _tensors(outputs):
                self._of[tensor] = node
        return outputs


def _tensors(value: Any) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


@dataclass(frozen=True, eq=False)
class Architecture:
    """The layers on the way to a classifier.

    Attributes
    ----------
    depth
        Number of weight layers on the path to the logits, the classifier included; None where there
        is no single path.
    normalisation
        "batch" where the last features are σ(batch norm) with |σ(z)| ≤ |z|, perhaps averaged over
        places; else None.
    activation
        The last one before the classifier, None for linear features.
    weights, affine
        Names of the weights on the path, first layer first, and of γ and β of that batch norm.
    remarks
        A sentence for everything that keeps a theory from applying, by theory.
    parameters
        The network's own, by name.
    """

    depth: int | None
    normalisation: str | None
    activation: str | None
    weights: tuple[str, ...]
    affine: tuple[str, ...]
    remarks: dict[str, tuple[str, ...]]
    parameters: dict[str, nn.Parameter] = field(repr=False)


def read_architecture(trace: Trace, head: nn.Module) -> Architecture:
    """What the trace of a forward pass says of the way to ``head``."""
    name = next((n for n, p in trace.parameters.items() if p is head.weight), None)
    uses = [node for node in trace.nodes if node.weighted and name in node.parameters]
    if name is None or not uses:
        words = "the weight of the classifier is no parameter that the network uses as it stands"
        remarks = {"depth": (words,), "batch_norm": (words,)}
        return Architecture(None, None, None, (), (), remarks, trace.parameters)
    path, joint = _path(uses[-1])
    layers = [node for node in path if node.weighted]
    normalisation, affine, why = _normalisation(path, joint, trace, head)
    remarks = {"depth": tuple(_against_depth(path, layers, joint, trace))}
    remarks["batch_norm"] = () if why is None else (why,)
    return Architecture(
        depth=None if joint else len(layers),
        normalisation=normalisation,
        activation=next(
            (node.operation for node in _last_features(path) if node.operation in ACTIVATIONS), None
        ),
        weights=tuple(_weight(node, trace) for node in reversed(layers)),
        affine=affine,
        remarks=remarks,
        parameters=trace.parameters,
    )


def _path(node: Node) -> tuple[list[Node], Node | None]:
    """Operations from the classifier back to the inputs, or to where several paths meet."""
    path = [node]
    while len(path[-1].sources) == 1:
        path.append(path[-1].sources[0])
    return path, path[-1] if path[-1].sources else None


def _weight(node: Node, trace: Trace) -> str:
    return max(node.parameters, key=lambda name: trace.parameters[name].ndim)


def _last_features(path: list[Node]) -> Iterator[Node]:
    """What lies between the classifier and the norm or weight layer before it, and that one."""
    for node in path[1:]:
        yield node
        if node.weighted or node.norm:
            return


def _normalisation(
    path: list[Node], joint: Node | None, trace: Trace, head: nn.Module
) -> tuple[str | None, tuple[str, ...], str | None]:
    """ "batch" with the names of γ and β; or None and why."""
    *between, last = [*_last_features(path)] or [path[0]]
    if last.norm is None:
        if last is joint:
            return None, (), f"the last features join several paths ({last.operation})"
        if not any(node.norm for node in trace.nodes):
            return None, (), None
        return None, (), "no batch norm lies between the last weights before the classifier and it"
    if last.norm != "batch_norm":
        words = last.norm.replace("_", " ")
        return None, (), f"the last normalisation is a {words}, which no theory covers"
    others = [node.operation for node in between]
    others = [name for name in others if name not in ROUTES | AVERAGES | SHRINKING]
    if others:
        return None, (), f"{', '.join(others)} lies between the last batch norm and the classifier"
    sizes = {trace.parameters[name].numel() for name in last.parameters}
    if not sizes:
        return None, (), "the last batch norm has no γ and β whose decay could bound the features"
    if sizes != {check_head(head)[1]}:
        return None, (), "places of a feature map enter the classifier, and are not averaged"
    return "batch", last.parameters, None


def _against_depth(
    path: list[Node], layers: list[Node], joint: Node | None, trace: Trace
) -> Iterator[str]:
    """Why the depth law does not speak of the network, a sentence each."""
    if joint is not None:
        yield (
            f"{len(joint.sources)} paths meet ({joint.operation}), as in a residual block: "
            "the depth law is about one path"
        )
    used = [name for node in trace.nodes if node.weighted for name in set(node.parameters)]
    shared = [name for name in (_weight(node, trace) for node in layers) if used.count(name) > 1]
    if shared:
        yield f"{shared[0]} is used {used.count(shared[0])} times: its weights are shared"
    if any(node.operation in CONVOLUTIONS for node in layers):
        yield "a convolution shares its weights over places"
    if any(len(node.parameters) > 1 for node in layers[1:]):
        yield "layers before the classifier have biases, which raise margins by a few per cent"
    if any(node.norm for node in path):
        yield "a normalisation lies on the path"
    known = ROUTES | RECTIFIERS | {"input"}
    others = [
        node.operation
        for node in path
        if not node.weighted and not node.norm and node.operation not in known and node is not joint
    ]
    if others:
        yield f"the path has {', '.join(sorted(set(others)))} besides weights and ReLU"
