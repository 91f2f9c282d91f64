"""Token and sequence classifiers of transformers, tiny and randomly initialised."""

import warnings

import pytest
import torch
from torch import nn

from ncollapse.metrics import measure
from ncollapse.torch import measure_model

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        BertForTokenClassification,
        GPT2Config,
        GPT2ForSequenceClassification,
        GPT2LMHeadModel,
    )

VOCABULARY, WIDTH, K = 9, 8, 3
PRESET = ["nc1_quotient", "nc4_agreement", "classifier_accuracy"]


def gpt2(kind, **options):
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=16,
        n_embd=WIDTH,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        **options,
    )
    return kind(config).eval()


def bert(kind):
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=16,
        num_labels=K,
    )
    return kind(config).eval()


def sentences(count=24, length=7):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(1, VOCABULARY, (count, length), generator=generator)
    lengths = torch.randint(2, length + 1, (count,), generator=generator)
    mask = (torch.arange(length) < lengths[:, None]).long()
    return torch.where(mask.bool(), tokens, 0), mask, torch.arange(count) % K


def literal(model, features, labels, head):
    """Metrics of rows that were picked by hand, with the head's weight."""
    found = measure(
        features.double().numpy(),
        labels.numpy(),
        weight=head.weight.detach().double().numpy(),
        bias=None if head.bias is None else head.bias.detach().double().numpy(),
        preset=PRESET,
    )
    return found.metrics


def test_a_causal_model_measures_each_token_against_the_next():
    model = gpt2(GPT2LMHeadModel)
    tokens, mask, _ = sentences()
    labels = torch.where(mask.bool(), tokens, -100)
    loader = [{"input_ids": tokens, "attention_mask": mask, "labels": labels}]
    found = measure_model(model, loader, preset=PRESET)
    with torch.no_grad():
        hidden = model.transformer(tokens, attention_mask=mask).last_hidden_state[:, :-1]
    following = labels[:, 1:]
    kept = following != -100
    expected = literal(model, hidden[kept], following[kept], model.lm_head)
    assert found.head == "lm_head"
    assert found.features.num_samples == int(kept.sum())
    assert found.metrics == pytest.approx(expected, rel=1e-4)
    as_given = measure_model(model, loader, preset=PRESET, shift_labels=False)
    assert as_given.features.num_samples == int((labels != -100).sum())


def test_labels_are_shifted_for_causal_models_only():
    model = bert(BertForTokenClassification)
    tokens, mask, _ = sentences()
    labels = torch.where(mask.bool(), tokens % K, -100)
    found = measure_model(model, [{"input_ids": tokens, "attention_mask": mask, "labels": labels}])
    assert found.features.num_samples == int(mask.sum())
    shifted = measure_model(model, [({"input_ids": tokens}, labels)], shift_labels=True)
    assert shifted.features.num_samples == int(mask[:, 1:].sum())


def test_the_last_token_stands_for_a_sequence_as_in_the_model():
    model = gpt2(GPT2ForSequenceClassification, num_labels=K, pad_token_id=0)
    tokens, mask, labels = sentences()
    loader = [
        {"input_ids": tokens[i], "attention_mask": mask[i], "labels": labels[i]}
        for i in (slice(0, 10), slice(10, 24))
    ]
    with torch.no_grad():
        hidden = model.transformer(tokens, attention_mask=mask).last_hidden_state
    last = hidden[torch.arange(len(tokens)), mask.sum(dim=1) - 1]
    expected = literal(model, last, labels, model.score)
    for options in ({}, {"head": "score"}, {"pool": "last"}):
        found = measure_model(model, loader, preset=PRESET, **options)
        assert found.head == "score"
        assert found.metrics == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("pool", ["mean", "last", "function"])
def test_layers_are_pooled_over_the_tokens_that_the_mask_keeps(pool):
    def largest(values, mask):
        return values.masked_fill(~mask.bool()[:, :, None], -torch.inf).amax(dim=1)

    model = bert(BertForSequenceClassification)
    tokens, mask, labels = sentences()
    layer = "bert.encoder.layer.0.output"
    found = measure_model(
        model,
        [{"input_ids": tokens, "attention_mask": mask, "labels": labels}],
        layers=[layer],
        pool=largest if pool == "function" else pool,
        preset=["nc1_quotient"],
    )
    with torch.no_grad():
        hidden = model.bert(tokens, attention_mask=mask).last_hidden_state
    rows = {
        "mean": torch.stack([h[m.bool()].mean(dim=0) for h, m in zip(hidden, mask, strict=True)]),
        "last": hidden[torch.arange(len(tokens)), mask.sum(dim=1) - 1],
        "function": largest(hidden, mask),
    }[pool]
    expected = measure(rows.double().numpy(), labels.numpy(), preset=["nc1_quotient"]).metrics
    assert found.head == "classifier"
    assert found.layers[layer].metrics == pytest.approx(expected, rel=1e-4)


def test_refused_shifts_and_labels():
    model = gpt2(GPT2LMHeadModel)
    tokens, _, labels = sentences()
    with pytest.raises(ValueError, match=r"shift_labels needs labels of shape \(samples, tokens\)"):
        measure_model(model, [({"input_ids": tokens}, labels)], shift_labels=True)
    with pytest.raises(ValueError, match="ignore_index must not be None with shift_labels"):
        measure_model(model, [], shift_labels=True, ignore_index=None)
    nothing = torch.full_like(tokens, -100)
    with pytest.raises(ValueError, match="only labels that ignore_index leaves out: -100"):
        measure_model(model, [({"input_ids": tokens}, nothing)], nc4=False)


class Encoder(nn.Module):
    """Gives a NaN where the mask is 0, as attention over no token does."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, WIDTH)
        self.fc = nn.Linear(WIDTH, K)

    def forward(self, input_ids, attention_mask):
        hidden = self.embed(input_ids)
        kept = attention_mask.bool()[:, :, None]
        return self.fc(torch.where(kept, hidden, 0).sum(dim=1))


def test_what_stands_on_padding_is_never_read():
    model = Encoder()
    with torch.no_grad():
        model.embed.weight[0] = torch.nan
    tokens, mask, labels = sentences()
    batch = {"input_ids": tokens, "attention_mask": mask, "labels": labels}
    found = measure_model(model, [batch], layers=["embed"], preset=["nc1_quotient"])
    assert found.layers["embed"].metrics["nc1_quotient"] > 0
