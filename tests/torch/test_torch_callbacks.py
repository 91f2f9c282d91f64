"""The callbacks in real, small trainings: what they log is what measuring by hand gives."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import lightning.pytorch as pl
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
    from transformers import (
        EarlyStoppingCallback,
        PretrainedConfig,
        PreTrainedModel,
        Trainer,
        TrainingArguments,
    )

from ncollapse import LastLayerObjective
from ncollapse.torch import NeuralCollapseCallback, NeuralCollapseTrainerCallback, measure_model

K, D = 3, 5
OBJECTIVE = LastLayerObjective(weight_decay=1e-2, feature_decay=1e-3, label_smoothing=0.1)
FAMILIAR = pytest.mark.filterwarnings("ignore")  # the trainers' own advice and deprecations


def data(count=48, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % K
    means = 2 * torch.randn(K, D, generator=generator)
    return means[labels] + torch.randn(count, D, generator=generator), labels


class Module(pl.LightningModule):
    def __init__(self, fail_at=None):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(D, 8), nn.ReLU(), nn.Dropout(0.3))
        self.fc = nn.Linear(8, K)
        self.fail_at = fail_at

    def forward(self, x):
        return self.fc(self.body(x))

    def training_step(self, batch, index):
        if index == self.fail_at:
            raise RuntimeError("stopped on purpose")
        return functional.cross_entropy(self(batch[0]), batch[1])

    def validation_step(self, batch, index):
        self.log("val_loss", functional.cross_entropy(self(batch[0]), batch[1]))

    def test_step(self, batch, index):
        self(batch[0])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(callback, folder, logger=False, **options):
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=options.pop("max_epochs", 2),
        callbacks=[callback],
        logger=logger,
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def loader(seed=0, shuffle=False):
    return DataLoader(TensorDataset(*data(seed=seed)), batch_size=16, shuffle=shuffle)


def as_floats(values):
    return {name: float(value) for name, value in values.items()}


@FAMILIAR
def test_lightning_validation_is_what_measuring_gives(tmp_path):
    torch.manual_seed(0)
    module = Module()
    callback = NeuralCollapseCallback(loader=loader(), preset="papyan2020", objective=OBJECTIVE)
    running = trainer(callback, tmp_path)
    running.fit(module, loader(shuffle=True), loader(seed=1))
    logged = as_floats(running.callback_metrics)
    for stage, seed in (("validation", 1), ("loader", 0)):
        expected = measure_model(module, loader(seed=seed), objective=OBJECTIVE).metrics
        assert 0 < expected["optimality_gap"] < 1
        if stage == "validation":
            expected = {
                name: value
                for name, value in expected.items()
                if name not in ("nc4_agreement", "optimality_gap")
            }
            assert "validation/optimality_gap" not in logged
        found = {name: logged[f"{stage}/{name}"] for name in expected}
        assert found == pytest.approx(expected, rel=1e-5)
    assert not any(m._forward_pre_hooks for m in module.modules())


@FAMILIAR
def test_lightning_watches_training_and_test_without_forward_passes(tmp_path):
    torch.manual_seed(0)
    module = Module()
    calls = []
    module.fc.register_forward_hook(lambda *_: calls.append(1))
    callback = NeuralCollapseCallback(head="fc", stages=("train", "test"), preset=["nc1_pinv"])
    running = trainer(callback, tmp_path, max_epochs=3)
    running.fit(module, loader(shuffle=True))
    assert float(running.callback_metrics["train/nc1_pinv"]) > 0
    assert len(calls) == 3 * 3
    running.test(module, loader(seed=2), verbose=False)
    expected = measure_model(module, loader(seed=2)).metrics["nc1_pinv"]
    assert float(running.callback_metrics["test/nc1_pinv"]) == pytest.approx(expected, rel=1e-5)


@FAMILIAR
def test_watching_does_not_change_lightning_training(tmp_path):
    weights = []
    for callback in (pl.Callback(), NeuralCollapseCallback(loader=loader(shuffle=True))):
        torch.manual_seed(0)
        module = Module()
        trainer(callback, tmp_path).fit(module, loader(shuffle=True), loader(seed=1))
        weights.append(module.fc.weight.detach().clone())
    assert torch.equal(*weights)


@FAMILIAR
@pytest.mark.parametrize("every", [1, 2])
def test_lightning_logs_to_the_attached_logger(tmp_path, every):
    torch.manual_seed(0)
    logger = CSVLogger(tmp_path)
    callback = NeuralCollapseCallback(preset=["nc1_pinv"], every_n_epochs=every, prefix="collapse")
    trainer(callback, tmp_path, logger, max_epochs=4).fit(Module(), loader(), loader(1))
    table = np.genfromtxt(
        f"{logger.log_dir}/metrics.csv", delimiter=",", names=True, deletechars="", dtype=float
    )
    values = table["collapse/validation/nc1_pinv"]
    assert np.isfinite(values).sum() == 4 // every


@FAMILIAR
def test_lightning_logs_to_tensorboard(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(tmp_path)
    callback = NeuralCollapseCallback(preset=["nc1_pinv"])
    trainer(callback, tmp_path, logger).fit(Module(), loader(), loader(1))
    events = EventAccumulator(logger.log_dir)
    events.Reload()
    assert len(events.Scalars("validation/nc1_pinv")) == 2


@FAMILIAR
def test_lightning_hooks_are_gone_after_an_exception(tmp_path):
    module = Module(fail_at=1)
    callback = NeuralCollapseCallback(stages=("train",))
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        trainer(callback, tmp_path).fit(module, loader())
    assert not any(m._forward_pre_hooks for m in module.modules())


def test_refused_lightning_arguments():
    with pytest.raises(ValueError, match="stages must be some of train, validation, test"):
        NeuralCollapseCallback(stages=("val",))
    with pytest.raises(ValueError, match="every_n_epochs must be a positive integer"):
        NeuralCollapseCallback(every_n_epochs=0)
    with pytest.raises(ValueError, match="preset must be one of"):
        NeuralCollapseCallback(preset="nobody1999")
    with pytest.raises(ValueError, match="objective needs loader"):
        NeuralCollapseCallback(objective=OBJECTIVE)


class Config(PretrainedConfig):
    model_type = "collapse-test"


class Classifier(PreTrainedModel):
    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.body = nn.Linear(D, 8)
        self.classifier = nn.Linear(8, K)
        self.post_init()

    def _init_weights(self, module):
        pass

    def forward(self, values, labels=None):
        logits = self.classifier(torch.relu(self.body(values)))
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return {"loss": loss, "logits": logits} if labels is not None else {"logits": logits}


class Rows(Dataset):
    def __init__(self, seed=0):
        self.x, self.y = data(seed=seed)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return {"values": self.x[index], "labels": self.y[index]}


def hugging_face(folder, epochs=3, **options):
    torch.manual_seed(0)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        logging_strategy="no",
        **{"save_strategy": "no", **options},
    )
    model = Classifier(Config())
    return Trainer(model=model, args=arguments, train_dataset=Rows(), eval_dataset=Rows(1))


@FAMILIAR
@pytest.mark.parametrize(("split", "seed"), [("train", 0), ("eval", 1)])
def test_hugging_face_logs_what_measuring_gives(tmp_path, split, seed):
    running = hugging_face(tmp_path)
    running.add_callback(
        NeuralCollapseTrainerCallback(running, split=split, every_n_epochs=3, objective=OBJECTIVE)
    )
    running.train()
    logged = [entry for entry in running.state.log_history if f"{split}_nc1_pinv" in entry]
    assert [entry["epoch"] for entry in logged] == [3.0]
    rows = [{"values": x, "labels": y} for x, y in [data(seed=seed)]]
    expected = measure_model(running.model, rows, objective=OBJECTIVE).metrics
    assert 0 < expected["optimality_gap"] < 1
    found = {name: logged[0][f"{split}_{name}"] for name in expected}
    assert found == pytest.approx(expected, rel=1e-5)


@FAMILIAR
def test_watching_does_not_change_hugging_face_training(tmp_path):
    weights = []
    for watched in (False, True):
        running = hugging_face(tmp_path)
        if watched:
            running.add_callback(NeuralCollapseTrainerCallback(running))
        running.train()
        weights.append(running.model.classifier.weight.detach().clone())
    assert torch.equal(*weights)
    assert len([entry for entry in running.state.log_history if "train_nc1_pinv" in entry]) == 3


@FAMILIAR
def test_hugging_face_from_batches_of_ones_own(tmp_path):
    running = hugging_face(tmp_path, epochs=1)
    rows = [({"values": x}, y) for x, y in [data(seed=4)]]
    callback = NeuralCollapseTrainerCallback(
        running, loader=rows, head="classifier", preset=["cdnv"], prefix="train/collapse"
    )
    running.add_callback(callback)
    running.train()
    expected = measure_model(running.model, rows, preset=["cdnv"]).metrics["cdnv"]
    assert running.state.log_history[0]["train/collapse_cdnv"] == pytest.approx(expected, rel=1e-5)


def test_refused_hugging_face_arguments():
    with pytest.raises(ValueError, match="split must be one of train, eval"):
        NeuralCollapseTrainerCallback(None, split="test")


class Doubtful(Module):
    """An auxiliary head that is trained too, and a last layer that is never used."""

    def __init__(self):
        super().__init__()
        self.auxiliary = nn.Linear(8, K)
        self.unused = nn.Linear(8, K)

    def training_step(self, batch, index):
        loss = functional.cross_entropy(self.auxiliary(self.body(batch[0])), batch[1])
        return loss + super().training_step(batch, index)


@FAMILIAR
def test_lightning_takes_the_head_that_measure_model_takes(tmp_path):
    torch.manual_seed(0)
    module = Doubtful()
    callback = NeuralCollapseCallback(stages=("validation",), loader=loader())
    running = trainer(callback, tmp_path, max_epochs=1)
    running.fit(module, loader(), loader(1))
    logged = as_floats(running.callback_metrics)
    expected = measure_model(module, loader())
    assert expected.head == "fc"
    assert logged["loader/nc3_duality"] == pytest.approx(expected.metrics["nc3_duality"], rel=1e-5)
    validated = measure_model(module, loader(1)).metrics["nc3_duality"]
    assert logged["validation/nc3_duality"] == pytest.approx(validated, rel=1e-5)


@FAMILIAR
@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "bf16-mixed"])
def test_lightning_precisions_with_a_loader(tmp_path, precision):
    torch.manual_seed(0)
    module = Module()
    callback = NeuralCollapseCallback(stages=("train", "validation"), loader=loader())
    running = trainer(callback, tmp_path, max_epochs=1, precision=precision)
    running.fit(module, loader(), loader(1))
    logged = as_floats(running.callback_metrics)
    expected = measure_model(module.float(), loader()).metrics
    digits = 1e-5 if precision == "64-true" else 0.1
    assert logged["loader/nc1_pinv"] == pytest.approx(expected["nc1_pinv"], rel=digits)
    assert logged["validation/nc1_pinv"] > 0


@FAMILIAR
def test_lightning_layers_and_nc4(tmp_path):
    torch.manual_seed(0)
    module = Module()
    callback = NeuralCollapseCallback(
        loader=loader(),
        layers=["body.1"],
        preset=["nc1_pinv", "ncc_accuracy"],
        nc4=True,
        prefix="a",
    )
    running = trainer(callback, tmp_path, max_epochs=1)
    running.fit(module, loader(), loader(1))
    logged = as_floats(running.callback_metrics)
    expected = measure_model(
        module, loader(), layers=["body.1"], preset=callback.watching.preset, nc4=True
    )
    for name, value in expected.metrics.items():
        assert logged[f"a/loader/{name}"] == pytest.approx(value, rel=1e-5)
    for name, value in expected.layers["body.1"].metrics.items():
        assert logged[f"a/loader/body.1/{name}"] == pytest.approx(value, rel=1e-5)
    assert "nc4_agreement" in expected.metrics
    validated = measure_model(module, loader(1), layers=["body.1"]).layers["body.1"]
    assert logged["a/validation/body.1/nc1_pinv"] == pytest.approx(
        validated.metrics["nc1_pinv"], rel=1e-5
    )


@FAMILIAR
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_lightning_stops_early_and_keeps_the_best_by_collapse(tmp_path, first):
    torch.manual_seed(0)
    stopping = EarlyStopping("loader/nc1_pinv", min_delta=1e9, patience=1)
    keeping = ModelCheckpoint(tmp_path, monitor="loader/nc1_pinv")
    callback = NeuralCollapseCallback(loader=loader(), preset=["nc1_pinv"])
    running = pl.Trainer(
        accelerator="cpu",
        max_epochs=8,
        callbacks=[callback, stopping, keeping] if first else [stopping, keeping, callback],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    running.fit(Module(), loader(), loader(1))
    assert running.current_epoch == 2
    assert float(keeping.best_model_score) > 0


@FAMILIAR
@pytest.mark.parametrize(
    ("options", "module", "match"),
    [
        ({"head": "fd"}, Module, "head names the module 'fd'"),
        ({"layers": ["lost"]}, Module, "layers names the module 'lost'"),
        ({"head": "unused"}, Doubtful, "'unused' did not run"),
        ({"head": "unused", "loader": loader()}, Doubtful, "'unused' did not run"),
        ({"loader": [data()[0]]}, Module, "loader must give pairs"),
        ({"loader": [(data()[0], data()[1] + 7)]}, Module, "labels must be 0 … 2, but row 0 is 7"),
        ({"classes": [0, 1]}, Module, "classes must name 3 label values"),
    ],
)
def test_lightning_checks_before_the_first_step(tmp_path, options, module, match):
    torch.manual_seed(0)
    module = module()
    before = module.fc.weight.clone()
    with pytest.raises(ValueError if "pairs" not in match else TypeError, match=match):
        trainer(NeuralCollapseCallback(**options), tmp_path).fit(module, loader(), loader(1))
    assert torch.equal(module.fc.weight, before)
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in module.modules())


class Silent(Module):
    """Computes its loss without the module's own forward."""

    def forward(self, x):
        raise NotImplementedError("use logits")

    def training_step(self, batch, index):
        return functional.cross_entropy(self.fc(self.body(batch[0])), batch[1])


@FAMILIAR
def test_lightning_without_a_forward_needs_a_name(tmp_path):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match=r"head was not given, and Silent\.forward .*use logits"):
        trainer(NeuralCollapseCallback(stages=("train",)), tmp_path).fit(Silent(), loader())
    running = trainer(NeuralCollapseCallback(stages=("train",), head="fc"), tmp_path)
    running.fit(Silent(), loader())
    assert float(running.callback_metrics["train/nc1_pinv"]) > 0


def test_loaders_and_options_that_callbacks_refuse():
    with pytest.raises(
        TypeError, match="loader must be an iterable that can be gone through in ev"
    ):
        NeuralCollapseCallback(loader=iter(loader()))
    with pytest.raises(TypeError, match="unexpected keyword argument 'hed'"):
        NeuralCollapseTrainerCallback(None, hed="fc")
    with pytest.raises(ValueError, match="pool must be one of mean, last, flatten"):
        NeuralCollapseCallback(pool="max")


@FAMILIAR
@pytest.mark.parametrize("split", ["train", "eval"])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
def test_hugging_face_chooses_and_stops_by_collapse(tmp_path, split, first):
    running = hugging_face(
        tmp_path,
        epochs=6,
        eval_strategy="epoch",
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model=f"{split}_nc1_pinv",
        greater_is_better=True,
    )
    callback = NeuralCollapseTrainerCallback(
        running, split=split, every_n_epochs=2, preset=["nc1_pinv"], layers=["body"], nc4=True
    )
    both = [callback, EarlyStoppingCallback(2, early_stopping_threshold=1e9)]
    for entry in both if first else reversed(both):
        running.add_callback(entry)
    running.train()
    history = running.state.log_history
    values = [entry[f"{split}_nc1_pinv"] for entry in history if f"{split}_nc1_pinv" in entry]
    assert running.state.best_metric >= max(values)
    assert running.state.epoch == 3
    best = running.evaluate()[f"eval_{split}_nc1_pinv".replace("eval_eval", "eval")]
    assert best == pytest.approx(running.state.best_metric)
    logged = next(entry for entry in history if f"{split}_body_nc1_pinv" in entry)
    assert {f"{split}_nc1_pinv", f"{split}_nc4_agreement"} <= set(logged)


@FAMILIAR
def test_hugging_face_checks_before_the_first_step(tmp_path):
    running = hugging_face(tmp_path)
    running.add_callback(NeuralCollapseTrainerCallback(running, head="body", layers=["lost"]))
    with pytest.raises(ValueError, match="layers names the module 'lost'"):
        running.train()
    assert running.state.global_step == 0
