import pytest
import torch
from hydra.utils import get_class
from small_problem import batches, gradients, loss, make, output, parts

from landbridge.check import check
from landbridge.checkpoints import LAST
from landbridge.errors import LandbridgeError
from landbridge.groups import conf_folder
from landbridge.losses import bss, information_maximisation
from landbridge.strategies import BNM, BSP, DAN, DANN, MCC, SAFN, SWD, DeepCORAL, EntropyMinimisation, SourceOnly
from landbridge.strategies.look_back import WithSourceHead
from landbridge.strategies.terms import TERMS, needs, weights

STRATEGIES = sorted(path.stem for path in (conf_folder() / "strategy").glob("*.yaml"))
OF_OUTPUTS = sorted(TERMS.keys() - {"l2_sp"})
MANY = "[mcc, bnm, entropy, information_maximisation, safn, bsp, bss, mmd]"


def added(strategy, data):
    return strategy.added_terms({name: strategy.encode(name, batch) for name, batch in data.items()})


def test_names_take_their_own_weight_and_a_mapping_gives_it():
    assert weights(["mcc", "safn"]) == {"mcc": 1.0, "safn": 0.05}
    assert weights({"mcc": 0.5}) == {"mcc": 0.5}
    assert weights(None) == {}
    assert needs({"mcc": 1.0}) == {"target_unlabelled"}
    assert needs({"mcc": 1.0, "coral": 1.0, "bss": 1.0}) == {"source", "target", "target_unlabelled"}
    assert needs({"l2_sp": 1.0}) == needs({}) == frozenset()


@pytest.mark.parametrize("name", OF_OUTPUTS)
def test_a_term_is_multiplied_by_its_weight_and_trains(name):
    data = batches(labels=9)
    one, three = make(SourceOnly, terms={name: 1.0}), make(SourceOnly, terms={name: 3.0})
    torch.manual_seed(0)
    single = added(one, data)[f"+{name}"]
    torch.manual_seed(0)
    torch.testing.assert_close(added(three, data)[f"+{name}"], 3 * single)
    trained = parts(one, single)
    assert trained == ({"backbone"} if name in ("safn", "bsp", "bss", "coral", "mmd", "swd") else {"backbone", "head"})


@pytest.mark.parametrize(
    ("name", "method", "part", "settings"),
    [
        ("bnm", BNM, "nuclear_norm", {}),
        ("bsp", BSP, "spectrum", {}),
        ("coral", DeepCORAL, "align", {}),
        ("entropy", EntropyMinimisation, "entropy", {}),
        ("mcc", MCC, "confusion", {}),
        ("mmd", DAN, "align", {"estimator": "biased"}),
        ("safn", SAFN, "lengthen", {}),
        ("swd", SWD, "align", {"class_weight": 0.0}),
    ],
)
def test_a_term_is_what_its_own_strategy_adds(name, method, part, settings):
    # At the end of the training, where the weights that rise have reached their value to four digits.
    strategy = make(method, progress=1.0, terms=weights([name]), **settings)
    strategy.eval()
    torch.manual_seed(0)
    term = added(strategy, batches())[f"+{name}"]
    torch.manual_seed(0)
    torch.testing.assert_close(loss(strategy, batches())[part], term, rtol=2e-4, atol=1e-7)


def test_information_is_maximised_and_the_smallest_singular_value_shrunk():
    strategy = make(SourceOnly, terms={"information_maximisation": 2.0, "bss": 5.0})
    logits, features = torch.randn(8, 3), torch.randn(8, 4)
    streams = {
        "target_unlabelled": output("target_unlabelled", torch.zeros(8, 4), logits),
        "target": output("target", features, y=torch.zeros(8, dtype=torch.long)),
    }
    terms = strategy.added_terms(streams)
    torch.testing.assert_close(terms["+information_maximisation"], -2 * information_maximisation(logits))
    torch.testing.assert_close(terms["+bss"], 5 * bss(features))


def test_a_step_minimises_the_sum_of_the_strategys_terms_and_the_added_ones():
    strategy, data = make(DANN, terms={"mcc": 0.5, "coral": 2.0}), batches()
    total = strategy.training_step(data, 0)
    noted = dict(strategy._totals)
    assert noted.keys() == {"classify", "confuse", "+mcc", "+coral"}
    torch.testing.assert_close(total.detach(), torch.stack(list(noted.values())).sum())


def test_a_strategy_is_not_given_streams_that_only_a_term_reads():
    strategy = make(SourceOnly, terms={"mcc": 1.0})
    strategy.training_step(batches(), 0)
    assert strategy._totals.keys() == {"classify", "+mcc"}


# L2-SP looks at weights, and back at the start ------------------------------------------------------------------------


def test_l2_sp_pulls_the_backbone_back_to_its_start():
    strategy = make(SourceOnly, terms={"l2_sp": 0.3})
    start = {name: parameter.detach().clone() for name, parameter in strategy.named_parameters()}
    assert added(strategy, {})["+l2_sp"] == 0
    with torch.no_grad():
        for parameter in strategy.parameters():
            parameter.add_(torch.randn_like(parameter))
    pull = gradients(strategy, added(strategy, {})["+l2_sp"])
    assert pull.keys() == {name for name in start if name.startswith("network.backbone.")}
    for name, gradient in pull.items():
        torch.testing.assert_close(gradient, 0.3 * (strategy.get_parameter(name) - start[name]).detach())


def test_the_start_is_in_the_checkpoint_and_nowhere_without_the_term():
    strategy = make(SourceOnly, terms={"l2_sp": 1.0})
    begun = strategy.weights_at_start.clone()
    with torch.no_grad():
        next(strategy.network.backbone.parameters()).add_(1)
    resumed = make(SourceOnly, terms={"l2_sp": 1.0})
    resumed.weights_at_start.zero_()
    resumed.load_state_dict(strategy.state_dict())
    assert torch.equal(resumed.weights_at_start, begun)
    assert make(SourceOnly, terms={"mcc": 1.0}).state_dict().keys() == make(SourceOnly).state_dict().keys()
    assert strategy.parameter_counts() == make(SourceOnly).parameter_counts()


# Whole runs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_terms_stand_beside_every_strategy_that_trains_and_are_refused_elsewhere(strategy, compose, tiny, tmp_path):
    method = get_class(compose(f"strategy={strategy}").strategy._target_)
    setting = [f"strategy={strategy}", f"target_labels={int('target' in method.needs)}"]
    if method.continues_source or issubclass(method, WithSourceHead):
        setting += ["start=source", "start.max_epochs=1", f"start.cache={tmp_path}"]
    if strategy == "soup":
        setting.append(f"strategy.folder={tmp_path}")
    refusal = None
    try:
        losses = tiny(*setting, "terms={mcc: 0.5, coral: 1, l2_sp: 1}").epochs[0]["losses"]
    except LandbridgeError as error:
        losses, refusal = {}, str(error)
    if refusal:
        assert "terms: mcc, coral, l2_sp cannot act" in refusal
    else:
        assert losses.keys() >= {"+mcc", "+coral", "+l2_sp"}
        assert 0 < losses["+mcc"] <= 0.5 * 2 / 3


@pytest.mark.parametrize("settings", ["[swd, l2_sp]", MANY])
def test_a_run_with_terms_resumes_as_it_was_and_sees_no_hidden_label(settings, tiny, tmp_path):
    typed = ["strategy=source_only", "target_labels=2", f"terms={settings}", "trainer.max_epochs=3"]
    straight = tiny(*typed, folder="straight")
    assert {name for name in straight.epochs[0]["losses"] if name.startswith("+")} == {
        f"+{name}" for name in settings[1:-1].split(", ")
    }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("landbridge.epochs.Epochs.on_train_batch_end", power_goes_off)
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
        ("[mmc]", "nearest: 'mcc'"),
        ("{mcc: -1}", "-1 is not a number >= 0"),
        ("mcc", "'mcc' is not a list or a mapping"),
    ],
)
def test_settings_that_name_no_term_or_no_weight_are_refused(settings, message, compose):
    with pytest.raises(LandbridgeError, match=message):
        check(compose(f"terms={settings}"))


@pytest.mark.parametrize("name", ["bnm", "mcc"])
def test_a_batch_that_cannot_hold_every_class_is_refused(name):
    with pytest.raises(LandbridgeError, match=f"terms: {name} needs .* at least 3 samples, one per class, .* have 2"):
        added(make(SourceOnly, terms={name: 1.0}), batches(24, 2))


def test_a_covariance_of_one_sample_is_refused():
    strategy = make(SourceOnly, terms={"coral": 1.0})
    features = torch.randn(8, 4)
    with pytest.raises(LandbridgeError, match=r"terms: coral needs batches of at least 2 samples, .* have 1"):
        strategy.added_terms({n: output(n, features[:m]) for n, m in (("source", 8), ("target_unlabelled", 1))})


def test_a_term_whose_stream_is_missing_is_named(tiny):
    with pytest.raises(LandbridgeError, match="strategy TargetOnly with terms coral needs labelled source samples"):
        tiny("strategy=target_only", "target_labels=2", "~source", "terms=[coral]")
