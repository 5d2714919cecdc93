"""Selection rules in runs: which rules are computed, refused or warned about, and which epoch is chosen."""

import logging
import math

import pytest
import torch

from dusk import DuskNet, dusk
from landbridge.errors import LandbridgeError
from landbridge.models.network import Network
from landbridge.run.final_table import print_record
from landbridge.selection import Entropy, scores
from landbridge.strategies import SHOT, AdaMatch, FixMatch
from landbridge.strategies.terms import TERMS

UNLABELLED = {"entropy", "diversity", "im", "bnm", "snd", "rankme", "class_ami"}


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        (["strategy=dann"], {"source_val", "dev"}),
        (["strategy=dann", "target_labels=2"], {"source_val", "dev", "target_val"}),
        (["strategy=dann", "selection=mixval"], {"source_val", "dev", "mixval"}),
        (["strategy=target_only", "target_labels=2"], {"target_val"}),
        (["strategy=source_only", "selection=oracle"], {"source_val", "dev"}),
    ],
)
def test_every_rule_that_the_setting_allows_is_in_the_record(settings, more, tiny):
    (row,) = tiny(*settings).epochs
    assert row["scores"].keys() == {"last", "oracle"} | UNLABELLED | more
    assert all(math.isfinite(score) for score in row["scores"].values())


@pytest.mark.parametrize("rule", sorted(UNLABELLED | {"dev", "mixval"}))
def test_a_rule_chooses_the_epoch_of_its_highest_score(rule, tiny):
    record = tiny("strategy=source_only", f"selection={rule}", "trainer.max_epochs=4", "optimizer.lr=0.05")
    by_epoch = [row["scores"][rule] for row in record.epochs]
    assert len(set(by_epoch)) > 1
    assert record.selection["rule"] == rule
    assert by_epoch[record.selection["epoch"]] == max(by_epoch)


def test_an_epoch_without_a_score_is_not_chosen(tiny, monkeypatch):
    score = Entropy.score
    monkeypatch.setattr(Entropy, "score", lambda self, seen: score(self, seen) if seen.epoch == 1 else math.nan)
    record = tiny("strategy=source_only", "selection=entropy", "trainer.max_epochs=3")
    assert record.selection["epoch"] == 1


def test_mixtures_are_predicted_by_the_network_in_evaluation_mode(tiny, tmp_path):
    record = tiny("strategy=source_only", "selection=mixval", "data.eval_batch_size=5", "data.steps_per_epoch=20")
    network = Network(DuskNet(), 3).eval()
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    network.load_state_dict({name.removeprefix("network."): value for name, value in state.items()})
    inputs = dusk("dusk", shift=0.5).splits["val"].inputs.tensor

    @torch.no_grad()
    def predict(rendered):
        return network(rendered)[1]

    expected = scores.mixval(network.backbone.format.normalised(inputs), predict)
    assert 0 < expected < 1
    assert record.epochs[0]["scores"]["mixval"] == pytest.approx(expected)


def test_rules_with_too_few_samples_are_not_computed_and_refused_as_selection(tiny):
    one_sample = ["strategy=source_only", "target.n=5"]
    (row,) = tiny(*one_sample).epochs
    assert UNLABELLED - row["scores"].keys() == {"snd"}
    with pytest.raises(
        LandbridgeError, match="selection=snd needs at least 2 validation samples, but the target has 1"
    ):
        tiny(*one_sample, "selection=snd", folder="other")


def test_a_rule_that_reads_hidden_labels_is_refused(tiny):
    with pytest.raises(LandbridgeError, match=r"selection=dev reads source labels, .* it allows: last, target_val, en"):
        tiny("strategy=target_only", "target_labels=2", "selection=dev")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["selection=entropy"], ["selection=entropy: it is highest for a model that predicts one class"]),
        (["selection=snd"], ["selection=snd: it is highest for a model that predicts one class"]),
        (["selection=im", "terms=[mcc]"], ["selection=im scores what training minimises"]),
        (["selection=bnm", "strategy=bnm"], ["selection=bnm scores what training minimises"]),
        (["selection=entropy", "terms=[pseudo_label]"], ["selection=entropy: it is", "selection=entropy scores what"]),
        (["selection=im", "terms={mcc: 0.0}"], []),
        (["selection=im", "terms=[coral]"], []),
        (["selection=last", "terms=[mcc]"], []),
    ],
)
def test_known_failures_of_the_configured_rule_are_logged(settings, said, tiny, caplog):
    with caplog.at_level(logging.WARNING, logger="landbridge"):
        tiny("strategy=source_only", *settings)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == len(said)
    assert all(line.startswith(start) for line, start in zip(warnings, said, strict=True))


def test_a_method_shares_its_biased_rules_with_the_losses_that_it_is_made_of():
    # Pseudo-labels of SHOT come from clusters of the features, with which `class_ami` compares predictions.
    assert SHOT.requirements.biased_rules == TERMS["information_maximisation"].biased_rules | {"class_ami"}
    assert FixMatch.requirements.biased_rules == AdaMatch.requirements.biased_rules
    assert FixMatch.requirements.biased_rules == TERMS["pseudo_label"].biased_rules == TERMS["entropy"].biased_rules
    assert SHOT.requirements.biased_rules <= UNLABELLED
    assert all(term.biased_rules <= UNLABELLED for term in TERMS.values())


def test_every_epoch_has_scores_on_both_halves_of_the_validation_split(tiny, tmp_path, capsys):
    record = tiny("strategy=fine_tune", "target_labels=all", "trainer.max_epochs=3", "target.n=60")
    print_record(record, tmp_path)
    assert "oracle" not in capsys.readouterr().out  # scores by hidden labels are for reports
    for row in record.epochs:
        first, second = row["halves"]["oracle"]
        assert row["halves"]["target_val"] == [first, second]  # with all labels visible, the rule is the oracle
        assert min(first, second) <= row["scores"]["oracle"] <= max(first, second)
    assert any(row["halves"]["oracle"][0] != row["halves"]["oracle"][1] for row in record.epochs)
