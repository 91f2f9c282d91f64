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
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
    from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments

from ncollapse.torch import NeuralCollapseCallback, NeuralCollapseTrainerCallback, measure_model

K, D = 3, 5
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
    callback = NeuralCollapseCallback(loader=loader(), preset="papyan2020")
    running = trainer(callback, tmp_path)
    running.fit(module, loader(shuffle=True), loader(seed=1))
    logged = as_floats(running.callback_metrics)
    for stage, seed in (("validation", 1), ("loader", 0)):
        expected = measure_model(module, loader(seed=seed)).metrics
        if stage == "validation":
            expected.pop("nc4_agreement")
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


def hugging_face(folder, epochs=3):
    torch.manual_seed(0)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
        disable_tqdm=True,
        logging_strategy="no",
    )
    model = Classifier(Config())
    return Trainer(model=model, args=arguments, train_dataset=Rows(), eval_dataset=Rows(1))


@FAMILIAR
@pytest.mark.parametrize(("split", "seed"), [("train", 0), ("eval", 1)])
def test_hugging_face_logs_what_measuring_gives(tmp_path, split, seed):
    running = hugging_face(tmp_path)
    running.add_callback(NeuralCollapseTrainerCallback(running, split=split, every_n_epochs=3))
    running.train()
    logged = [entry for entry in running.state.log_history if f"{split}_nc1_pinv" in entry]
    assert [entry["epoch"] for entry in logged] == [3.0]
    rows = [{"values": x, "labels": y} for x, y in [data(seed=seed)]]
    expected = measure_model(running.model, rows).metrics
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
