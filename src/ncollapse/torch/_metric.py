"""NeuralCollapse: the collapse metrics of a preset as a torchmetrics metric."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities.exceptions import TorchMetricsUserError

from ncollapse.metrics import compute_or_explain
from ncollapse.metrics.registry import preset_names
from ncollapse.stats import ClassStats, ClassSummary
from ncollapse.torch._heads import check_head, head_parameters

STATES = tuple(ClassStats(1, 1).state_dict())


class _StateView:
    """A metric state that torchmetrics reads and writes while `ClassStats` accumulates."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, metric: NeuralCollapse | None, owner: type) -> Any:
        return self if metric is None else metric._at_rest()[self.name]

    def __set__(self, metric: NeuralCollapse, value: Any) -> None:
        metric._at_rest()[self.name] = value


class NeuralCollapse(Metric):
    """Collapse metrics of a preset from features and labels, in one pass and over all ranks.

    The state is that of `ClassStats`: counts, per-class sums about a reference point and the pooled
    within-class scatter, float64, K·D + D² numbers whatever N. Ranks have references of their own;
    what torchmetrics gathers is that state of every rank, and `compute` restates all of them about
    one reference before it adds them, so nothing of size N is gathered and no digit is lost.

    Parameters
    ----------
    num_classes, num_features
        K and D; taken from ``head`` when it is given.
    head
        The classifier: a module with ``weight`` (K, D) and perhaps ``bias`` (K,). It is only looked
        at when computing, so it may go on training; clones look at the same head, a pickle holds a
        copy. Metrics that need a classifier are left out without one.
    preset
        A name in `ncollapse.metrics.PRESETS` or names in `ncollapse.metrics.METRICS`. Metrics that
        need a second pass (nc4) are left out: `measure_model` has them.
    classes
        The K label values; without it labels are 0 … K−1.
    **kwargs
        Those of `torchmetrics.Metric`.

    Notes
    -----
    After `compute`, the attribute ``undefined`` says why each metric that it left out has no value.

    Features may be float16, bfloat16, float32 or float64, mixed at will. They must be on the
    metric's device: put the metric there with ``.to(device)``. The sums stay float64 whatever dtype
    the surrounding module is cast to. ``forward`` returns the metrics of its batch alone and costs
    a merge of the state; ``update`` is much cheaper.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    def __init__(
        self,
        num_classes: int | None = None,
        num_features: int | None = None,
        *,
        head: nn.Module | None = None,
        preset: str | Iterable[str] = "papyan2020",
        classes: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes, self.num_features = _sizes(num_classes, num_features, head)
        self.metrics = preset_names(preset)
        self.undefined: dict[str, str] = {}
        # In a tuple, so that the head does not become a submodule of the metric.
        self._heads = () if head is None else (head,)
        self._classes = None if classes is None else tuple(int(value) for value in classes)
        self._stats: ClassStats | None = None
        self._working = torch.float32
        self._held: dict[str, Tensor] = {}
        for name, value in self._empty().state_dict().items():
            self.add_state(name, torch.from_numpy(value).to(self.device), dist_reduce_fx=None)

    @property
    def classes(self) -> tuple[int, ...]:
        """The label value of each class index."""
        return tuple(range(self.num_classes)) if self._classes is None else self._classes

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Take in ``features`` (B, D) and integer ``labels`` (B,); errors as in `ClassStats`."""
        if not isinstance(features, Tensor):
            raise TypeError(f"features must be a tensor, but it is a {type(features).__name__}")
        if self._is_synced:
            raise TorchMetricsUserError("the metric is synced: call unsync() before updating it")
        if features.device != self.device:
            raise ValueError(
                f"features are on {features.device} and the metric is on {self.device}: "
                f"call metric.to('{features.device}')"
            )
        stats = self._accumulating(features.dtype)
        if features.is_floating_point():
            features = features.detach().to(self._working)
        stats.update(features, labels)

    def compute(self) -> dict[str, Tensor]:
        """Name → float64 scalar, of all ranks; metrics without a value on these data are left out.

        Raises ``ValueError`` when no rank has seen a sample.
        """
        weight, bias = head_parameters(self._heads[0]) if self._heads else (None, None)
        values, self.undefined = compute_or_explain(
            self._merged().finish(), preset=self.metrics, weight=weight, bias=bias
        )
        return {
            name: torch.tensor(value, dtype=torch.float64, device=self.device)
            for name, value in values.items()
        }

    def summary(self) -> ClassSummary:
        """Means, scatter and per-class numbers of all ranks, for metrics beyond the preset."""
        fresh = not self._is_synced
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn, should_sync=fresh, should_unsync=fresh
        ):
            return self._merged().finish()

    def reset(self) -> None:
        self._stats = None
        self._held = {
            name: value for name, value in self._defaults.items() if isinstance(value, Tensor)
        }
        super().reset()

    def _empty(self) -> ClassStats:
        return ClassStats(self.num_classes, self.num_features, classes=self._classes)

    def _fresh(self) -> dict[str, Tensor]:
        return {name: torch.as_tensor(self._defaults[name]).clone() for name in STATES}

    def _loaded(self, state: Mapping[str, Tensor]) -> ClassStats:
        return self._empty().load_state_dict(state)

    def _at_rest(self) -> dict[str, Tensor]:
        """The state as tensors of fixed dtype; the next update goes on from them."""
        if self._stats is not None:
            self._held = _doubled(self._stats.state_dict())
            self._stats = None
        return self._held

    def _accumulating(self, dtype: torch.dtype) -> ClassStats:
        wanted = torch.float64 if dtype == torch.float64 else torch.float32
        if self._stats is not None and wanted in (self._working, torch.float32):
            return self._stats
        state = self._at_rest()
        reference = state["reference"].to(wanted)
        if not torch.equal(reference.double(), state["reference"]):
            wanted, reference = torch.float64, state["reference"]
        self._stats = self._loaded({**state, "reference": reference})
        self._held, self._working = {}, wanted
        return self._stats

    def _merged(self) -> ClassStats:
        """The statistics of all ranks whose state is here."""
        if self._stats is not None:
            return self._stats
        state = self._at_rest()
        if state["counts"].ndim == 1:
            return self._loaded(state)
        ranks = [
            self._loaded({name: value[rank] for name, value in state.items()})
            for rank in range(state["counts"].shape[0])
        ]
        for other in ranks[1:]:
            ranks[0].merge(other)
        return ranks[0]

    def _reduce_states(self, incoming_state: dict[str, Any]) -> None:
        """Merge another state into this one: what ``forward`` and ``merge_state`` build on."""
        merged = self._loaded(_doubled(incoming_state)).merge(self._merged())
        self._stats = None
        self._held = merged.state_dict()
        if not self._held["counts"].any():
            self._held = self._fresh()

    def _apply(self, fn: Callable, exclude_state: Sequence[str] = "") -> nn.Module:
        def moved(tensor: Tensor) -> Tensor:
            found = fn(tensor)
            return found if found.dtype == tensor.dtype else tensor.to(found.device)

        return super()._apply(moved, exclude_state)

    def __getstate__(self) -> dict[str, Any]:
        self._at_rest()
        return super().__getstate__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        state = self.__getstate__()
        heads = state.pop("_heads")
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__setstate__(copy.deepcopy(state, memo))
        twin._heads = tuple(memo.get(id(head), head) for head in heads)
        return twin

    def __hash__(self) -> int:
        return hash((type(self).__name__, id(self)))


for _name in STATES:
    setattr(NeuralCollapse, _name, _StateView(_name))


def _doubled(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: value.double() if value.is_floating_point() else value
        for name, value in state.items()
    }


def _sizes(
    num_classes: int | None, num_features: int | None, head: nn.Module | None
) -> tuple[int, int]:
    if head is not None:
        shape = check_head(head)
        for name, value, expected in (
            ("num_classes", num_classes, shape[0]),
            ("num_features", num_features, shape[1]),
        ):
            if value is not None and value != expected:
                raise ValueError(f"{name} is {value}, but the weight of head has shape {shape}")
        return shape
    if num_classes is None or num_features is None:
        raise ValueError("num_classes and num_features are needed when there is no head")
    return num_classes, num_features
