"""What a recipe minimises of a network: loss, decay of groups of parameters and of features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ncollapse.data import Dataset
from ncollapse.torch import FeatureTap, measure_model
from ncollapse.train._recipe import Recipe

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_RANKS = (2, 3, 4)


class Samples:
    """Inputs and labels as tensors of a network's precision, checked once."""

    def __init__(self, data: Any, device: torch.device, dtype: torch.dtype) -> None:
        inputs, labels = _arrays(data)
        self.num_classes = int(labels.max()) + 1
        self.counts = np.bincount(labels)
        if self.counts.min() < 1 or self.num_classes < 2:
            raise ValueError(
                f"labels must be 0 … K−1 with a sample each and K at least 2, but their counts are "
                f"{self.counts.tolist()}"
            )
        self.input_dim = int(np.prod(inputs.shape[1:]))
        self.inputs = torch.as_tensor(inputs).to(device, dtype)
        self.labels = torch.as_tensor(labels).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, size: int, order: Tensor | None = None) -> Iterable[tuple[Tensor, Tensor]]:
        """The samples in ``size`` at a time, in their order or another one."""
        rows = torch.arange(len(self)) if order is None else order
        for chosen in rows.to(self.labels.device).split(size):
            yield self.inputs[chosen], self.labels[chosen]


class Objective:
    """The recipe's objective for one network on one set of samples."""

    def __init__(
        self, model: nn.Module, recipe: Recipe, samples: Samples, head: str | None = None
    ) -> None:
        self.model, self.recipe, self.samples = model, recipe, samples
        self.head_name = _head_name(model, samples, head)
        self.head: Any = model.get_submodule(self.head_name)
        classes = len(self.head.weight)
        if classes != samples.num_classes:
            raise ValueError(
                f"model has {classes} logits, but labels name {samples.num_classes} classes"
            )
        self.class_weights = None
        if recipe.class_weights is not None:
            if len(recipe.class_weights) != classes:
                raise ValueError(
                    f"class_weights must be {classes} numbers, one a class, but there are "
                    f"{len(recipe.class_weights)}"
                )
            self.class_weights = samples.inputs.new_tensor(recipe.class_weights)
        self.groups = self._groups()

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters that are trained, by their decay, as optimisers of PyTorch take them."""
        recipe = self.recipe
        decays = dict.fromkeys((p for p in self.model.parameters() if p.requires_grad), 0.0)
        matrices = [p for p in decays if p.ndim >= 2]
        if recipe.layer_decays:
            if len(recipe.layer_decays) != len(matrices):
                raise ValueError(
                    f"weight_decay must have {len(matrices)} numbers, one a layer, but it has "
                    f"{len(recipe.layer_decays)}"
                )
            decays |= dict(zip(matrices, recipe.layer_decays, strict=True))
        else:
            chosen = {"all": list(decays), "weights": matrices}.get(recipe.decayed)
            if chosen is None:
                chosen = [self.head.weight]
                if recipe.decayed == "head_and_batch_norm":
                    for module in self.model.modules():
                        chosen += (
                            list(module.parameters()) if isinstance(module, BATCH_NORMS) else []
                        )
            decays |= {p: recipe.weight_decay for p in chosen if p in decays}
        return [
            {"params": [p for p, of in decays.items() if of == value], "weight_decay": value}
            for value in sorted(set(decays.values()))
        ]

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for group in self.groups for parameter in group["params"]]

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch, in the precision of the logits."""
        recipe, weights = self.recipe, self.class_weights
        weights = None if weights is None else weights.to(logits.dtype)
        if recipe.loss == "squared":
            one_hot = functional.one_hot(labels, logits.shape[1]).to(logits.dtype)
            smooth = recipe.label_smoothing
            wanted = one_hot * (1.0 - smooth) + smooth / logits.shape[1]
            squares = (logits - wanted).square().sum(dim=1) / 2.0
            return (squares if weights is None else weights[labels] * squares).sum() / len(labels)
        total = functional.cross_entropy(
            logits,
            labels,
            weights,
            reduction="sum",
            label_smoothing=recipe.label_smoothing,
        )
        return total / len(labels)

    def feature_decay(self, features: Tensor) -> Tensor | float:
        """λ_H/2 Σ_i ‖h_i‖² of all samples, estimated from a batch."""
        if not self.recipe.feature_decay:
            return 0.0
        share = len(self.samples) / len(features)
        return self.recipe.feature_decay / 2.0 * share * features.square().sum()

    def weight_decay(self) -> Tensor | float:
        """λ/2 Σ ‖θ‖² over the decayed parameters."""
        return sum(
            group["weight_decay"] / 2.0 * parameter.square().sum()
            for group in self.groups
            if group["weight_decay"]
            for parameter in group["params"]
        )

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and last-layer features, with their gradients."""
        caught: list[Tensor] = []
        hook = self.head.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
        try:
            logits = self.model(inputs)
        finally:
            hook.remove()
        return logits, caught[-1]

    def evaluate(self, batch: int = 1024) -> tuple[np.ndarray, float, float]:
        """Features ``(N, D)``, mean loss and accuracy of the network in evaluation mode."""
        training = self.model.training
        self.model.eval()
        features, loss, correct = [], 0.0, 0
        try:
            with torch.no_grad(), FeatureTap(self.head, self.head_name) as tap:
                for inputs, labels in self.samples.batches(batch):
                    logits = self.model(inputs)
                    features.append(tap.take().cpu().numpy())
                    loss += float(self.loss(logits.double(), labels)) * len(labels)
                    correct += int((logits.argmax(dim=1) == labels).sum())
        finally:
            self.model.train(training)
        count = len(self.samples)
        return np.concatenate(features), loss / count, correct / count

    def last_layer(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Weight ``(K, D)`` and bias ``(K,)`` or None of the head, copied."""
        weight, bias = self.head.weight, self.head.bias
        return _copied(weight), None if bias is None else _copied(bias)


def _copied(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().copy()


def _arrays(data: Any) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(data, Dataset):
        data = (data.images if data.image_shape else data.inputs, data.labels)
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise TypeError(
            f"data must be a Dataset or a pair (inputs, labels), but it is a {type(data).__name__}"
        )
    inputs, labels = (np.asarray(part) for part in data)
    if inputs.ndim not in _RANKS or not len(inputs):
        raise ValueError(
            "inputs must be rows (N, d) or images (N, H, W) or (N, C, H, W), but their shape is "
            f"{inputs.shape}"
        )
    if inputs.dtype.kind not in "biuf":
        raise TypeError(f"inputs must be real numbers, but their dtype is {inputs.dtype}")
    if not np.isfinite(inputs).all():
        raise ValueError("inputs must be finite, but they hold a NaN or an infinity")
    if labels.shape != inputs.shape[:1] or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            f"labels must be {len(inputs)} class indices, but they are of dtype {labels.dtype} and "
            f"shape {labels.shape}"
        )
    return inputs[:, None] if inputs.ndim == 3 else inputs, labels.astype(np.int64)


def _head_name(model: nn.Module, samples: Samples, head: str | None) -> str:
    """The module whose outputs are the logits, found on a few samples."""
    few = [next(iter(samples.batches(8)))]
    return measure_model(
        model, few, head=head, preset=["nc1_quotient"], nc4=False, progress=False
    ).head
