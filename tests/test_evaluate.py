"""The final evaluation: metrics compared with independent formulas, separate domains, and opened labels."""

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from dusk import CLASSES
from landbridge.data.domain import Domain, Split
from landbridge.data.labels import Labels
from landbridge.record import OUTPUTS, read_arrays, unpack_scores
from landbridge.run.evaluate import judged
from landbridge.tasks import HIDDEN, Classification

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


def metrics(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
    return judged(Classification(tuple(map(str, range(logits.shape[1])))), logits, labels)


def calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Return the sum over bins (a, b] of the share of samples times |accuracy - mean confidence|."""
    number = np.ceil(confidence * bins)
    inside = [number == each for each in np.unique(number)]
    return sum(each.mean() * abs(correct[each].mean() - confidence[each].mean()) for each in inside)


@given(st.integers(1, 60), st.integers(2, 7), st.integers(0, 2**31), st.floats(0.1, 8))
@settings(max_examples=60, deadline=None)
def test_metrics_equal_independent_formulas(n, classes, seed, scale):
    rng = np.random.default_rng(seed)
    logits = (rng.normal(size=(n, classes)) * scale).astype(np.float32)
    labels = rng.integers(classes, size=n)
    found = metrics(torch.from_numpy(logits), torch.from_numpy(labels))
    predictions = logits.argmax(1)
    surprise = -scipy.special.log_softmax(logits.astype(float), 1)
    correct = predictions == labels
    assert found["n"] == n
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, predictions))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predictions, average="macro"), abs=1e-6)
    assert found["nll"] == pytest.approx(surprise[range(n), labels].mean(), rel=1e-4, abs=1e-6)
    assert found["ece"] == pytest.approx(calibration_error(np.exp(-surprise.min(1)), correct), abs=1e-5)
    assert unpack_scores(found).tolist() == correct.tolist()


def test_the_calibration_error_equals_the_golden_value():
    # The golden value is from ten bins. Each golden sample has its own bin with ten and with fifteen bins.
    confidence = torch.tensor(GOLDEN["inputs"]["ece_confidence"], dtype=torch.float64)
    labels = 1 - torch.tensor(GOLDEN["inputs"]["ece_correct"])
    logits = torch.stack([confidence, 1 - confidence], 1).log()
    assert metrics(logits, labels)["ece"] == pytest.approx(GOLDEN["values"]["ece"], abs=1e-6)


def test_certain_predictions_share_a_bin_with_nearly_certain_ones():
    logits = torch.tensor([[60.0, 0.0], [4.0, 0.0]])
    nearly = 1 / (1 + np.exp(-4.0))
    assert metrics(logits, torch.tensor([1, 0]))["ece"] == pytest.approx(abs(1 - 1 - nearly) / 2)


def test_accuracy_counts_samples_and_macro_f1_counts_classes():
    logits = torch.eye(2)[torch.zeros(10, dtype=torch.long)]
    found = metrics(logits, torch.tensor([0] * 9 + [1]))
    assert found["accuracy"] == pytest.approx(0.9)
    assert found["macro_f1"] == pytest.approx((2 * 9 / (2 * 9 + 1)) / 2)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_correctness_takes_one_bit_a_sample(correct):
    logits = torch.eye(2)[torch.zeros(len(correct), dtype=torch.long)]
    found = metrics(logits, torch.tensor([int(not each) for each in correct]))
    assert unpack_scores(found).tolist() == correct
    assert len(base64.b64decode(found["correct"])) == -(-len(correct) // 8)


@pytest.fixture
def learned(tiny, tmp_path):
    """Run a strategy that overfits one domain; test it on this domain and on the same images with wrong labels."""
    record = tiny(
        "strategy=source_only",
        "target._target_=dusk.lying",
        "target.name=noon",
        "target.shift=0",
        "target.splits=[test]",
        "backbone.dropout=0",
        "optimizer.lr=0.01",
        "trainer.max_epochs=40",
        "data.eval_batch_size=5",
    )
    return record, tmp_path / "run"


def test_metrics_of_the_two_domains_are_not_mixed(learned):
    record, folder = learned
    assert record.results["source"]["accuracy"] == 1.0
    assert record.results["target"]["accuracy"] == 0.0
    assert unpack_scores(record.results["source"]).all()
    assert not unpack_scores(record.results["target"]).any()
    kept = read_arrays(folder / OUTPUTS)
    assert list(kept) == [f"{role}_{what}" for role in ("source", "target") for what in ("logits", "labels", "ids")]
    # The splits of the made domain are consecutive: the test split is its last fifth.
    assert kept["target_ids"].tolist() == [str(row) for row in range(48, 60)]
    assert (kept["source_logits"] == kept["target_logits"]).all()
    for role in ("source", "target"):
        again = judged(
            Classification(CLASSES), torch.from_numpy(kept[f"{role}_logits"]), torch.from_numpy(kept[f"{role}_labels"])
        )
        items = record.results[role]["items"]
        assert record.results[role] == {"domain": "noon", "items": items, **again}


def test_sealed_labels_are_opened_once_and_the_reason_is_recorded(tiny):
    seal = tiny("trainer.max_epochs=2").seal
    assert seal == {
        "source train": [],
        "source val": [],
        "source test": ["test"],
        "target train": [],
        "target val": ["oracle: score of every epoch"],
        "target test": ["test"],
    }


def test_a_test_split_without_labels_is_reported_as_not_measured(tiny, monkeypatch, caplog):
    from dusk import dusk as honest

    def hidden(name: str, shift: float = 0.0) -> Domain:
        domain = honest(name, shift)
        test = domain.splits["test"]
        none = Labels(torch.full((len(test.labels),), HIDDEN), domain.task, f"{name} test")
        attributes = {"half": ["a", "b"] * (len(test.inputs) // 2)}
        return replace(domain, splits={**domain.splits, "test": Split(test.inputs, none, attributes)})

    monkeypatch.setattr("dusk.dusk", hidden)
    record = tiny("source=noon", "target=dusk")
    assert record.status == "done"
    assert record.results["target"]["n"] == 0
    assert np.isnan(record.results["target"]["accuracy"])
    assert "dusk: no sample of the test split has a label, so nothing is measured there" in caplog.messages
