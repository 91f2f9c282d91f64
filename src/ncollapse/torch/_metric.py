"""NeuralCollapse: the collapse metrics of a preset as a torchmetrics metric."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.metric import CompositionalMetric
from torchmetrics.utilities.exceptions import TorchMetricsUserError

from ncollapse.metrics import METRICS, UndefinedMetricError
from ncollapse.metrics.registry import preset_names
from ncollapse.stats import ClassStats, ClassSummary
from ncollapse.theory.imbalance import LastLayerObjective
from ncollapse.torch._heads import check_head, measurement_of_head
from ncollapse.torch._last_layer import GAP, feed, gap_of, refusal

STATES = tuple(ClassStats(1, 1).state_dict())


class _StateView:
    """A metric state that torchmetrics reads and writes while `ClassStats` accumulates."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, metric: NeuralCollapse | None, owner: type) -> Any:
        return self if metric is None else metric._at_rest()[self.name]

    def __set__(self, metric: NeuralCollapse, value: Any) -> None:
        metric._at_rest()[self.name] = value


class Values(dict[str, Tensor]):
    """Results by name; functions of PyTorch apply to each, for those names that all have."""

    @classmethod
    def __torch_function__(
        cls, function: Callable, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        results = [entry for entry in args if isinstance(entry, Values)]
        if not results:
            return NotImplemented
        names = [name for name in results[0] if all(name in other for other in results)]

        def of(name: str) -> Any:
            chosen = [entry[name] if isinstance(entry, Values) else entry for entry in args]
            return function(*chosen, **(kwargs or {}))

        return cls((name, of(name)) for name in names)

    def __reduce__(self) -> tuple[Any, ...]:
        """Files hold a plain mapping, which `torch.load` reads without this package."""
        return OrderedDict, (list(self.items()),)


class OneNumber(CompositionalMetric):
    """One entry of a `NeuralCollapse`: a metric with a single value."""

    def __init__(self, metric: NeuralCollapse, name: str) -> None:
        super().__init__(partial(_entry, name=name), metric, None)
        self.name = name

    @property
    def higher_is_better(self) -> bool | None:
        """Whether it rises at collapse; None where collapse has no fixed value."""
        if self.name == GAP:
            return False
        collapsed = METRICS[self.name].collapsed
        return None if collapsed is None else collapsed > 0

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """As `NeuralCollapse.plot`."""
        figure, axes = self._plot(val, ax)
        axes.set_ylabel(self.name)
        return figure, axes

    def __repr__(self) -> str:
        return f"{self.metric_a!r}[{self.name!r}]"


def _entry(values: Values, name: str) -> Tensor:
    if name not in values:
        raise UndefinedMetricError(
            f"{name} has no value on these data; the attribute undefined of the metric says why"
        )
    return values[name]


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
    objective
        What a linear ``head`` minimises over these samples: adds ``optimality_gap``, for which the
        head must not train on between two updates. (2K)² numbers more.
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
        objective: LastLayerObjective | None = None,
        **kwargs: Any,
    ) -> None:
        # A result that is kept would not follow a head that goes on training.
        super().__init__(**{"compute_with_cache": head is None, **kwargs})
        self.num_classes, self.num_features = _sizes(num_classes, num_features, head)
        self.metrics = preset_names(preset)
        self.undefined: dict[str, str] = {}
        # In a tuple, so that the head does not become a submodule of the metric.
        self._heads: tuple[nn.Module, ...] = () if head is None else (head,)
        self._classes = None if classes is None else tuple(classes)
        self._stats: ClassStats | None = None
        self._working = torch.float32
        self._held: dict[str, Tensor] = {}
        for name, value in self._empty().state_dict().items():
            self.add_state(name, torch.from_numpy(value).to(self.device), dist_reduce_fx=None)
        self._objective = objective
        self._sums: tuple[str, ...] = ()
        if objective is not None:
            reason = "there is none" if head is None else refusal(head)
            if reason is not None:
                raise ValueError(f"objective needs a linear head, but {reason}")
            for name, value in objective.stats(self.num_classes).state_dict().items():
                self.add_state(f"gap_{name}", torch.tensor(value).to(self.device), "sum")
                self._sums = (*self._sums, name)

    @property
    def classes(self) -> tuple[int, ...]:
        """The label value of each class index."""
        return self._empty().classes

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
        if self._objective is not None:
            batch = self._objective.stats(self.num_classes)
            feed(batch, self._heads[0], features, labels, self._classes)
            self._add({f"gap_{name}": value for name, value in batch.state_dict().items()})

    def compute(self) -> dict[str, Tensor]:
        """Name → float64 scalar, of all ranks; metrics without a value on these data are left out.

        Without samples that is every one: torchmetrics warns, and nothing comes back.
        """
        merged = self._merged()
        if not merged.num_samples:
            self.undefined = dict.fromkeys(self.metrics, "there are no samples")
            return Values()
        head = self._heads[0] if self._heads else None
        measured = measurement_of_head(merged.finish(), self.metrics, head)
        values, self.undefined = dict(measured.metrics), measured.undefined
        if self._objective is not None and head is not None:
            stats = self._objective.stats(self.num_classes).load_state_dict(
                {name: getattr(self, f"gap_{name}").cpu().numpy() for name in self._sums}
            )
            values[GAP] = gap_of(self._objective, stats, head)
        return Values(
            (name, torch.tensor(value, dtype=torch.float64, device=self.device))
            for name, value in values.items()
        )

    def __getitem__(self, name: str) -> OneNumber:
        """The metric of one name as a metric of its own, for arithmetic, plots and trackers."""
        names = (*self.metrics, GAP) if self._objective is not None else self.metrics
        if name not in names:
            raise KeyError(f"{name!r} is none of the metrics {', '.join(names)}")
        return OneNumber(self, name)

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Draw ``val``, a result or a list of them, or what `compute` gives now.

        Returns figure and axes, as other metrics of torchmetrics do; needs matplotlib.
        """
        return self._plot(val, ax)

    def extra_repr(self) -> str:
        sizes = f"num_classes={self.num_classes}, num_features={self.num_features}"
        return f"{sizes}, metrics=({', '.join(self.metrics)})"

    def summary(self) -> ClassSummary:
        """Means, scatter and per-class numbers of all ranks, for metrics beyond the preset."""
        fresh = not self._is_synced
        with self.sync_context(
            dist_sync_fn=self.dist_sync_fn, should_sync=fresh, should_unsync=fresh
        ):
            return self._merged().finish()

    def reset(self) -> None:
        self._stats = None
        self._held = {name: torch.as_tensor(self._defaults[name]) for name in STATES}
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
        incoming = _doubled({name: incoming_state[name] for name in STATES})
        merged = self._loaded(incoming).merge(self._merged())
        self._add({f"gap_{name}": incoming_state[f"gap_{name}"] for name in self._sums})
        self._stats = None
        self._held = merged.state_dict()
        if not self._held["counts"].any():
            self._held = self._fresh()

    def _add(self, sums: Mapping[str, Any]) -> None:
        for name, value in sums.items():
            setattr(self, name, getattr(self, name) + torch.as_tensor(value, device=self.device))

    def _apply(self, fn: Callable, exclude_state: Sequence[str] = "") -> nn.Module:
        def moved(tensor: Tensor) -> Tensor:
            given = fn(tensor)
            return given if given.dtype == tensor.dtype else tensor.to(given.device)

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
