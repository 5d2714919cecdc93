"""Cached activations of random views that are drawn before training."""

from dataclasses import replace

import pytest
import torch

from dusk import DuskNet, dusk
from landbridge.activation_cache.draw import Draw
from landbridge.data.activations import Activation, CachedActivations, CachedViews
from landbridge.data.augment import VIEWS, Augmentation
from landbridge.data.streams import JointBatches, Stream, StreamIndices
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.small import GREY_28
from landbridge.run.epochs import Epochs
from landbridge.strategies.self_training.two_views import TwoViews

# FixMatch with four target labels of each of 3 classes has three streams, with 36, 12 and 36 samples. Each has weak
# views, and the unlabelled target has strong views too.
VIEWS_OF_FIXMATCH = 36 + 12 + 2 * 36


@pytest.fixture
def run(tiny, tmp_path):
    """Return a function that runs a strategy with the first stage frozen and with views in the test's own cache."""

    def launch(strategy, *overrides, folder="run", views=2):
        setting = ("target_labels=4", "freeze.depth=1", "trainer.max_epochs=3", "data.steps_per_epoch=3")
        store = ("cache=activations", f"cache.path={tmp_path / 'store'}", f"cache.views={views}")
        return tiny(f"strategy={strategy}", *setting, *store, *overrides, folder=folder)

    return launch


def state(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)["state_dict"]


def assert_same(one, other):
    assert all(value.equal(state(other)[name]) for name, value in state(one).items())


@pytest.mark.parametrize("strategy", ["fixmatch", "adamatch", "bi_tuning"])
def test_a_repeated_run_gives_the_same_result_and_finds_all_its_views(strategy, run, tmp_path):
    first = run(strategy, folder="first")
    again = run(strategy, folder="again")
    assert first.cost["cache"]["depth"] == 1
    assert (again.cost["cache"]["computed"], again.cost["cache"]["found"]) == (0, first.cost["cache"]["computed"])
    assert again.cost["cache"]["bytes"] == first.cost["cache"]["bytes"]
    assert again.epochs[-1]["losses"] == first.epochs[-1]["losses"]
    assert_same(tmp_path / "first", tmp_path / "again")


@pytest.mark.parametrize("strategy", ["fixmatch", "bi_tuning"])
def test_a_resumed_run_equals_an_uninterrupted_one(strategy, run, tmp_path):
    straight = run(strategy, folder="straight")

    def stop(self, trainer, *arguments):
        if trainer.current_epoch == 1:
            raise RuntimeError("the power went off")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Epochs, "on_train_batch_end", stop)
        with pytest.raises(RuntimeError, match="power"):
            run(strategy, folder="resumed")
    assert run(strategy, folder="resumed").results == straight.results
    assert_same(tmp_path / "straight", tmp_path / "resumed")


def test_frozen_stages_do_not_run_in_training(run, monkeypatch):
    ran = []
    between = DuskNet.between
    # The trial run of every backbone is no training.
    monkeypatch.setattr("landbridge.run.initial_network.require_encoding", lambda *_: None)
    monkeypatch.setattr(DuskNet, "forward", lambda net, x: pytest.fail("a frozen stage has run"))
    monkeypatch.setattr(DuskNet, "segment", lambda net, *ends: ran.append(ends) or between(net, *ends))
    monkeypatch.setattr("landbridge.activation_cache.forward.Forward.try_cut", lambda *_: None)
    run("fixmatch", folder="cold")
    assert {(0, 1), (1, 2)} <= set(ran)
    ran.clear()
    run("fixmatch", "optimizer.lr=0.5", folder="warm")
    assert set(ran) == {(1, 2)}


def test_batches_hold_the_activations_of_the_drawn_views(run):
    batches, known = [], {}
    with_views = TwoViews.with_views

    def seen(strategy, batch):
        known["strategy"], known["data"] = strategy, strategy.data
        batches.append(with_views(strategy, batch))
        return batches[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TwoViews, "with_views", seen)
        run("fixmatch")
    read = {"source": 0, "target_strong": 0}
    for name, (of, kind) in (("source", ("source", "weak")), ("target_strong", ("target_unlabelled", "strong"))):
        strategy, data = known["strategy"], known["data"]
        stage = strategy.network.backbone.eval().get_submodule("conv")
        inputs = data.streams.training[of].inputs
        for number in range(2):
            draw = Draw(name, getattr(data.streams.augmentations[of], kind), number, seed=0)
            (augmented,) = draw.augmenting(inputs, torch.device("cpu"))(Activation(0, (inputs.tensor,))).tensors
            with torch.no_grad():
                expected = stage(strategy.network.backbone.format.normalised(augmented))
            for views in batches:
                (x,) = views[name]["x"].tensors
                rows = expected[views[name]["index"]]
                read[name] += int(torch.isclose(x, rows, atol=1e-6).flatten(1).all(dim=1).sum())
    assert read == dict.fromkeys(read, 16 * len(batches))


def test_existing_entries_are_used_for_more_draws_and_for_deeper_stages(run, tmp_path, monkeypatch):
    first = run("fixmatch", folder="first").cost["cache"]
    more = run("fixmatch", folder="more", views=3).cost["cache"]
    assert (more["found"], more["computed"]) == (first["computed"], VIEWS_OF_FIXMATCH)
    assert run("fixmatch", "seed=1", folder="seed").cost["cache"]["found"] == 0

    monkeypatch.setattr(Augmentation, "__call__", lambda *_: pytest.fail("images are augmented again"))
    run("fixmatch", "freeze.depth=all", folder="deeper")
    monkeypatch.undo()
    run("fixmatch", "freeze.depth=all", f"cache.path={tmp_path / 'other'}", folder="straight")
    for name, value in state(tmp_path / "deeper").items():
        torch.testing.assert_close(value, state(tmp_path / "straight")[name])


def test_drawn_and_fresh_views_give_different_runs(run, tiny):
    drawn = run("fixmatch")
    overrides = ("target_labels=4", "freeze.depth=1", "trainer.max_epochs=3", "data.steps_per_epoch=3")
    fresh = tiny("strategy=fixmatch", *overrides, folder="fresh")
    assert drawn.fingerprint != fresh.fingerprint
    assert drawn.epochs[-1]["losses"] != fresh.epochs[-1]["losses"]


def test_without_frozen_stages_views_are_drawn_in_every_step_and_a_warning_is_logged(run, tiny, tmp_path, caplog):
    run("fixmatch", "freeze.depth=0", folder="with_views")
    assert "cache.views has no effect: no stage is frozen throughout" in caplog.text
    tiny("strategy=fixmatch", "target_labels=4", "trainer.max_epochs=3", "data.steps_per_epoch=3", folder="plain")
    assert_same(tmp_path / "with_views", tmp_path / "plain")


def test_without_room_for_its_views_a_run_fails(run):
    with pytest.raises(LandbridgeError, match=r"cache\.views=2: no room in .*needed"):
        run("fixmatch", "cache.size=1e-9")


# ---- batches of views


def test_every_pass_reads_each_sample_once_with_a_new_choice_of_draws():
    size, draws = 60, 3
    order = StreamIndices({"source": size}, 20, steps=3, seed=0, draws={"source": draws})
    plain = StreamIndices({"source": size}, 20, steps=3, seed=0)
    chosen = torch.zeros(5, size, dtype=torch.long)
    for epoch in range(5):
        positions = torch.cat([batch["source"] for batch in order.epoch(epoch)])
        assert torch.equal(positions % size, torch.cat([batch["source"] for batch in plain.epoch(epoch)]))
        chosen[epoch, positions % size] = positions // size
    assert set(chosen.flatten().tolist()) == set(range(draws))
    assert (chosen != chosen[0]).any(dim=0).float().mean() > 0.8  # 1 - 1 / 81 of them, if draws are independent
    # The order is the same if a batch is split between two processes, even if it belongs to two passes.
    parts = [list(StreamIndices({"source": size}, 10, 3, 0, rank, 2, draws={"source": draws})) for rank in range(2)]
    plain = list(StreamIndices({"source": size}, 20, 3, 0, draws={"source": draws}))
    for whole, *of in zip(plain, *parts, strict=True):
        assert torch.equal(whole["source"], torch.cat([part["source"] for part in of]))


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_batch_has_the_rows_of_the_chosen_draws(channels_last):
    inputs, labels = dusk("noon").splits["train"].inputs, torch.arange(36) % 3
    layout = torch.channels_last if channels_last else torch.contiguous_format
    draws = [torch.randn(36, 4, 3, 3).to(memory_format=layout) for _ in range(3)]
    known = CachedViews({"weak": [CachedActivations(1, [each], torch.arange(36)) for each in draws]})
    stream = Stream(inputs, GREY_28, labels, views=known)
    positions = torch.tensor([5, 5 + 36, 3 + 72, 35, 0])
    batch = JointBatches({"source": stream})[{"source": positions}]["source"]
    assert batch["index"].tolist() == [5, 5, 3, 35, 0]
    assert torch.equal(batch["y"], labels[batch["index"]])
    (x,) = batch["x"]["weak"].tensors
    assert torch.equal(x, torch.stack([draws[0][5], draws[1][5], draws[2][3], draws[0][35], draws[0][0]]))
    assert x.is_contiguous(memory_format=layout)


def test_every_field_of_a_draw_changes_its_views_and_torchs_random_state_stays_the_same():
    inputs = dusk("noon").splits["train"].inputs
    device = torch.device("cpu")
    first = Draw("weak", VIEWS["digits"].strong, 0, seed=0)
    before = torch.get_rng_state()

    def augmented(draw: Draw) -> torch.Tensor:
        return draw.augmenting(inputs, device)(Activation(0, (inputs.tensor,))).tensors[0]

    images = augmented(first)
    assert torch.equal(images, augmented(first))
    assert torch.equal(before, torch.get_rng_state())
    others = [replace(first, **change) for change in ({"number": 1}, {"seed": 1}, {"view": "strong"})]
    others.append(replace(first, augmentation=replace(first.augmentation, rotation=16)))
    for other in others:
        assert other.key("", inputs, None, "") != first.key("", inputs, None, "")
        assert not torch.equal(augmented(other), images)
    assert first.key("a", inputs, None, "") != first.key("b", inputs, None, "")
