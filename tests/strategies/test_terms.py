import pytest
import torch
from hydra.utils import get_class
from small_problem import batches, gradients, make, output, parts

from landbridge.cli.config_sources import conf_folder
from landbridge.config.check import check
from landbridge.errors import LandbridgeError
from landbridge.losses import bss, information_maximisation
from landbridge.run.checkpoints import LAST
from landbridge.strategies import DANN, SourceOnly
from landbridge.strategies.terms import TERMS, build_terms, join_terms

#: Ridge regression predicts numbers, which these terms do not serve.
STRATEGIES = sorted({path.stem for path in (conf_folder() / "strategy").glob("*.yaml")} - {"ridge"})
OF_OUTPUTS = sorted(TERMS.keys() - {"l2_sp"})
MANY = "[mcc, bnm, entropy, information_maximisation, safn, bsp, bss, mmd]"


def added(strategy, data):
    return strategy.added_terms({name: strategy.encode(name, batch) for name, batch in data.items()})


def test_settings_can_be_names_or_weights_or_mappings():
    def settings(terms):
        return {name: (term.weight, term.ramp) for name, term in build_terms(terms).items()}

    assert settings(["mcc", "safn"]) == {"mcc": (1.0, "constant"), "safn": (0.05, "constant")}
    assert settings({"mcc": 0.5, "entropy": None}) == {"mcc": (0.5, "constant"), "entropy": (0.1, "constant")}
    assert settings({"mcc": {"weight": 2, "ramp": "dann"}}) == {"mcc": (2, "dann")}
    assert settings(None) == {}
    assert build_terms({"mcc": {"temperature": 3.0}})["mcc"].temperature == 3.0


def test_adding_a_term_that_is_part_of_the_strategy_is_refused():
    assert join_terms({"mcc": {}}, ["coral"]).keys() == {"mcc", "coral"}
    with pytest.raises(
        LandbridgeError, match=r"mcc is a part of this strategy already; set strategy\.terms\.mcc\.weight"
    ):
        join_terms({"mcc": {}}, ["mcc"])


@pytest.mark.parametrize("name", OF_OUTPUTS)
def test_a_term_is_multiplied_by_its_weight_and_has_a_gradient(name):
    data = batches(labels=9)
    # The first predictions of a network do not reach the default threshold.
    settings = {"threshold": 0.4} if name == "pseudo_label" else {}
    one, three = (make(SourceOnly, terms={name: {"weight": weight, **settings}}) for weight in (1.0, 3.0))
    torch.manual_seed(0)
    single = added(one, data)[f"+{name}"]
    torch.manual_seed(0)
    torch.testing.assert_close(added(three, data)[f"+{name}"], 3 * single)
    trained = parts(one, single)
    assert trained == ({"backbone"} if name in ("safn", "bsp", "bss", "coral", "mmd", "swd") else {"backbone", "head"})


def test_the_linear_ramp_ends_at_two_fifths_of_the_training():
    term = build_terms({"pseudo_label": {"ramp": "linear"}})["pseudo_label"]
    assert [term.rise(t) for t in (0.0, 0.1, 0.4, 1.0)] == pytest.approx([0, 0.25, 1, 1])


def test_a_ramp_raises_a_weight_from_zero():
    data = batches()
    ramp = [
        added(make(SourceOnly, progress, {"bnm": {"ramp": "dann"}}).eval(), data)["+bnm"]
        for progress in (0.0, 0.5, 1.0)
    ]
    full = added(make(SourceOnly, terms=["bnm"]).eval(), data)["+bnm"]
    assert ramp[0] == 0
    torch.testing.assert_close(ramp[1], 0.9866142982 * full)
    torch.testing.assert_close(ramp[2], 0.9999092043 * full)


def test_information_is_maximised_and_the_smallest_singular_value_is_reduced():
    strategy = make(SourceOnly, terms={"information_maximisation": 2.0, "bss": 5.0})
    logits, features = torch.randn(8, 3), torch.randn(8, 4)
    streams = {
        "target_unlabelled": output("target_unlabelled", torch.zeros(8, 4), logits),
        "target": output("target", features, y=torch.zeros(8, dtype=torch.long)),
    }
    terms = strategy.added_terms(streams)
    torch.testing.assert_close(terms["+information_maximisation"], -2 * information_maximisation(logits))
    torch.testing.assert_close(terms["+bss"], 5 * bss(features))


def test_a_step_minimises_the_sum_of_own_and_added_terms():
    strategy, data = make(DANN, terms={"mcc": 0.5, "coral": 2.0}), batches()
    total = strategy.training_step(data, 0)
    noted = dict(strategy.totals.sums)
    assert noted.keys() == {"supervised", "confuse", "+mcc", "+coral"}
    torch.testing.assert_close(total.detach(), torch.stack(list(noted.values())).sum())


def test_streams_that_only_a_term_reads_are_not_passed_to_the_strategy():
    strategy = make(SourceOnly, terms={"mcc": 1.0})
    strategy.training_step(batches(), 0)
    assert strategy.totals.sums.keys() == {"supervised", "+mcc"}


# L2-SP reads the weights and the initial weights ----------------------------------------------------------------------


def test_l2_sp_moves_the_backbone_towards_its_initial_weights():
    strategy = make(SourceOnly, terms={"l2_sp": 0.3})
    trained = {name: parameter for name, parameter in strategy.named_parameters() if parameter.requires_grad}
    start = {name: parameter.detach().clone() for name, parameter in trained.items()}
    assert added(strategy, {})["+l2_sp"] == 0
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(torch.randn_like(parameter))
    pull = gradients(strategy, added(strategy, {})["+l2_sp"])
    assert pull.keys() == {name for name in start if name.startswith("network.backbone.")}
    for name, gradient in pull.items():
        torch.testing.assert_close(gradient, 0.3 * (strategy.get_parameter(name) - start[name]).detach())


def test_the_initial_model_is_in_the_checkpoint_only_with_the_term():
    strategy = make(SourceOnly, terms={"l2_sp": 1.0})
    begun = strategy.initial.backbone_vector.clone()
    with torch.no_grad():
        next(strategy.network.backbone.parameters()).add_(1)
    resumed = make(SourceOnly, terms={"l2_sp": 1.0})
    with torch.no_grad():
        [each.zero_() for each in resumed.initial.parameters()]
    resumed.load_state_dict(strategy.state_dict())
    assert torch.equal(resumed.initial.backbone_vector, begun)
    assert make(SourceOnly, terms={"mcc": 1.0}).state_dict().keys() == make(SourceOnly).state_dict().keys()
    assert strategy.parameter_counts() == make(SourceOnly).parameter_counts()


# Whole runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_terms_work_with_every_strategy_that_trains_and_are_refused_otherwise(strategy, compose, tiny, tmp_path):
    method = get_class(compose(f"strategy={strategy}").strategy._target_)
    needs = method.requirements
    setting = [f"strategy={strategy}", f"target_labels={int('target' in needs.streams)}"]
    setting += ["start=source", "start.max_epochs=1", f"start.cache={tmp_path}"]  # l2_sp needs trained weights
    if strategy == "soup":
        setting.append(f"strategy.folder={tmp_path}")
    # A term that is part of the strategy is set in the strategy. Only the other terms are added.
    own = compose(f"strategy={strategy}").strategy.get("terms") or {}
    settings = {"mcc": "{weight: 0.5, ramp: constant}", "coral": "{weight: 1}", "l2_sp": "{weight: 1}"}
    setting += [f"strategy.terms.{name}={value}" for name, value in settings.items() if name in own]
    setting.append(f"terms={{{', '.join(f'{name}: {value}' for name, value in settings.items() if name not in own)}}}")
    refusal = None
    try:
        losses = tiny(*setting).epochs[0]["losses"]
    except LandbridgeError as error:
        losses, refusal = {}, str(error)
    if strategy == "linear_probe":
        assert refusal is not None
        assert "terms: coral and terms: l2_sp cannot change any weight that the test uses" in refusal
        return
    assert bool(refusal) == bool(needs.no_terms_because)
    if refusal:
        assert "terms: mcc, coral, l2_sp cannot act" in refusal
        assert needs.no_terms_because in refusal
    else:
        assert losses.keys() >= {"+mcc", "+coral", "+l2_sp"}
        assert 0 < losses["+mcc"] <= 0.5 * 2 / 3


@pytest.mark.parametrize("settings", ["[swd, l2_sp]", MANY])
def test_a_run_with_terms_can_be_resumed_and_reads_no_hidden_label(settings, tiny, tmp_path):
    typed = ["strategy=source_only", "target_labels=2", f"terms={settings}", "trainer.max_epochs=3"]
    if "l2_sp" in settings:
        typed += ["start=source", f"start.cache={tmp_path}", "start.max_epochs=1"]
    straight = tiny(*typed, folder="straight")
    assert {name for name in straight.epochs[0]["losses"] if name.startswith("+")} == {
        f"+{name}" for name in settings[1:-1].split(", ")
    }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("landbridge.run.epochs.Epochs.on_train_batch_end", power_goes_off)
        with pytest.raises(RuntimeError, match="power"):
            tiny(*typed, folder="resumed")
    resumed = tiny(*typed, folder="resumed")
    assert [row["losses"] for row in resumed.epochs] == [row["losses"] for row in straight.epochs]

    garbage = tiny(*typed, "target._target_=dusk.lying", "target.budget=2", folder="garbage")
    assert [row["losses"] for row in garbage.epochs] == [row["losses"] for row in straight.epochs]
    states = [
        torch.load(tmp_path / folder / LAST, weights_only=True)["state_dict"]
        for folder in ("straight", "resumed", "garbage")
    ]
    for other in states[1:]:
        assert all(torch.equal(other[name], value) for name, value in states[0].items())


def power_goes_off(self, trainer, *arguments):
    if trainer.current_epoch == 2:
        raise RuntimeError("the power went off")


# Mistakes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("[mmc]", "there is no such term; nearest: mcc"),
        ("{mcc: -1}", "-1 is not a number >= 0"),
        ("{mcc: {temprature: 2}}", "terms.mcc.temprature .*nearest: temperature"),
        ("mcc", "'mcc' is not a list or a mapping"),
    ],
)
@pytest.mark.parametrize("place", ["terms", "strategy.terms"])
def test_settings_with_an_unknown_term_or_an_invalid_weight_are_refused(place, settings, message, compose):
    with pytest.raises(LandbridgeError, match=message):
        check(compose(f"{place}={settings}"))


@pytest.mark.parametrize("name", ["bnm", "mcc"])
def test_a_batch_with_fewer_samples_than_classes_is_refused(name):
    with pytest.raises(LandbridgeError, match=f"terms: {name} needs .* at least 3 samples, one per class, .* have 2"):
        added(make(SourceOnly, terms={name: 1.0}), batches(24, 2))


def test_a_batch_of_one_sample_is_refused_by_coral():
    strategy = make(SourceOnly, terms={"coral": 1.0})
    features = torch.randn(8, 4)
    with pytest.raises(LandbridgeError, match=r"terms: coral needs batches of at least 2 samples, .* have 1"):
        strategy.added_terms({n: output(n, features[:m]) for n, m in (("source", 8), ("target_unlabelled", 1))})


def test_a_term_whose_stream_is_missing_is_refused(tiny):
    with pytest.raises(LandbridgeError, match="strategy TargetOnly with terms coral needs labelled source samples"):
        tiny("strategy=target_only", "target_labels=2", "~source", "terms=[coral]")
