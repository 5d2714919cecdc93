"""The cache of activations and decoded images, in whole runs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dusk import DuskNet
from landbridge import record as records
from landbridge.activation_cache.forward import Forward
from landbridge.activation_cache.prefix import prefix_keys, stands_still
from landbridge.activation_cache.store import Store
from landbridge.data import image_files
from landbridge.data.digests import Digests
from landbridge.errors import LandbridgeError
from landbridge.run.samples import PICTURES
from landbridge.strategies import Requirements, SourceOnly
from strategies.test_every_strategy import differences

# Number of cached samples: all of the two domains of 60 samples each, except for the target's 36 training samples.
SAMPLES = 2 * 60 - 36
# A domain of 60 samples has 36 for training, 12 for validation and 12 for the test.
EVALUATED = 2 * 24
ALL = ("data.steps_per_epoch=3",)
SMALL = "backbone.options={pretrained_cfg_overlay: {input_size: [3, 32, 32]}}"


@pytest.fixture
def cached(tiny, tmp_path):
    """Return a function that runs the smallest transfer that reads every sample, with a cache in the test's folder."""

    def launch(*overrides, folder="cached"):
        return tiny(*ALL, *overrides, "cache=activations", f"cache.path={tmp_path / 'store'}", folder=folder)

    return launch


def outcome(record):
    losses = [row["losses"] for row in record.epochs]
    return [value for row in losses for value in row.values()], [each["nll"] for each in record.results.values()]


def assert_equal(one, other):
    for ours, theirs in zip(outcome(one), outcome(other), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert one.fingerprint == other.fingerprint


def test_entries_are_computed_once_and_deeper_ones_are_computed_from_them(tiny, cached, monkeypatch):
    runs = []
    between = DuskNet.between
    monkeypatch.setattr(DuskNet, "between", lambda net, *ends: runs.append(ends) or between(net, *ends))

    first = cached("freeze.depth=1", folder="first")
    # Three splits of each domain, except for the target's training split, which has no stream.
    assert first.cost["cache"] | {"seconds": 0} == {
        "depth": 1, "found": 0, "computed": SAMPLES, "bytes": SAMPLES * 4 * 36 * 4, "seconds": 0,
    }  # fmt: skip
    assert "cache" in first.cost["phases"]
    again = cached("freeze.depth=1", "optimizer.lr=0.5", "strategy=dann", "seed=0", folder="again")
    # dann has a stream of the target.
    assert (again.cost["cache"]["found"], again.cost["cache"]["computed"]) == (SAMPLES, 36)

    runs.clear()
    deeper = cached("freeze.depth=all", folder="deeper")
    assert deeper.cost["cache"]["computed"] == SAMPLES
    assert set(runs) == {(1, 2)}
    assert_equal(deeper, tiny(*ALL, "freeze.depth=all", folder="without"))


FROZEN_HEADS = ("linear_probe", "linear_probes", "logistic", "knn", "nearest_mean", "ridge")


@pytest.mark.parametrize("strategy", FROZEN_HEADS)
def test_heads_on_frozen_features_read_them_from_the_cache_at_any_configured_depth(strategy, cached, tiny):
    given = [f"strategy={strategy}", "source=null", "selection=target_val", "target_labels=4"]
    given += ["target=linear", "backbone=mlp", "target_labels=40"] if strategy == "ridge" else []
    record, without = cached(*given), tiny(*ALL, *given, folder="without")
    depth, computed = record.cost["cache"]["depth"], record.cost["cache"]["computed"]
    # Of the training split, only the samples with a visible label are read: 4 of each of 3 classes, or 40 in all.
    sizes = record.data["target"]["sizes"]
    assert (depth, computed) == (2, sizes["val"] + sizes["test"] + (40 if strategy == "ridge" else 12))
    other = cached(*given, "freeze.depth=1", folder="other")
    assert (other.cost["cache"]["depth"], other.cost["cache"]["found"]) == (depth, computed)
    assert other.fingerprint == without.fingerprint == record.fingerprint
    for each in (other, without):
        assert not differences(each.results, record.results, tolerance=1e-4)


def test_a_stream_is_not_computed_for_fewer_reads_than_it_lacks_samples(cached):
    short = ["freeze.depth=1", "data.steps_per_epoch=1"]
    # All validation and test samples are read, but only 16 of the 36 training samples.
    assert cached(*short, folder="first").cost["cache"]["computed"] == EVALUATED
    cached("freeze.depth=1", folder="longer")
    assert cached(*short, folder="second").cost["cache"]["found"] == SAMPLES


def test_reads_of_unlabelled_samples_are_counted_by_their_own_batches(cached):
    short = ["freeze.depth=1", "data.steps_per_epoch=1", "strategy=dann"]
    assert cached(*short, folder="first").cost["cache"]["computed"] == EVALUATED
    assert cached(*short, "data.unlabelled_batch_size=36", folder="second").cost["cache"]["computed"] == 36


def test_a_few_missing_samples_are_computed_even_for_few_reads(cached, photos):
    """All but the changed image of the training split are stored, and the run reads 16 samples."""
    overrides = ["target=image_folder", f"target.root={photos}", "strategy=target_only", "target_labels=all"]
    overrides += ["data.workers=0", "freeze.depth=1", "start=scratch", "target.val=0.2"]
    short = [*overrides, "data.steps_per_epoch=1"]
    first = cached(*short, folder="first")
    sizes = first.data["target"]["sizes"]
    evaluated = sizes["val"] + sizes["test"]
    # Decoded images count too.
    assert (first.cost["cache"]["found"], first.cost["cache"]["computed"]) == (0, 2 * evaluated)
    cached(*overrides, folder="longer")
    for name in sorted(photos.glob("*/*"))[:3]:
        with Image.open(name) as image:
            image.rotate(90).save(name)
    again = cached(*short, folder="again").cost["cache"]
    assert (again["found"], again["computed"]) == (37, 2 * 3)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("optimizer.lr=0.3", SAMPLES),
        ("data.batch_size=8", SAMPLES),
        ("target_labels=2", SAMPLES),
        ("seed=1", 0),  # another seed gives other initial weights
        ("backbone.dropout=0.1", 0),
        ("target.shift=0.1", 60),
    ],
)
def test_runs_share_exactly_the_entries_with_the_same_content(cached, change, found):
    overrides = ["freeze.depth=1", "selection=source_val", "target.shift=0.5"]
    cached(*overrides, folder="first")
    assert cached(*overrides, change, folder="second").cost["cache"]["found"] == found


def test_weights_and_statistics_change_the_keys_of_their_own_and_later_depths_only():
    net = DuskNet()
    keys = prefix_keys(net, {}, 2)
    for name, tensor in net.state_dict().items():
        before = tensor.clone()
        tensor.add_(1)
        changed = [a != b for a, b in zip(keys, prefix_keys(net, {}, 2), strict=True)]
        assert changed == [False, name.startswith("conv."), True], name
        tensor.copy_(before)
    assert prefix_keys(net, {}, 1) == keys[:2]
    assert prefix_keys(net, {"dropout": 0.5}, 2)[0] != keys[0]


@pytest.mark.parametrize("backbone", ["test_resnet", "test_convnext", "mobilenetv3_small_050"])
def test_timm_models_give_equal_results_with_and_without_the_cache(tiny, cached, backbone):
    overrides = [f"backbone={backbone}", SMALL, "freeze.depth=2", "data.batch_size=8", "optimizer=sgd"]
    record = cached(*overrides)
    assert record.cost["cache"]["depth"] == 2
    assert_equal(record, tiny(*ALL, *overrides, folder="without"))


def test_a_model_that_cannot_be_cut_logs_a_warning_and_trains_without_the_cache(cached, tiny, caplog):
    overrides = ["backbone=test_vit", "backbone.options={img_size: 32}", "data.batch_size=4", "data.steps_per_epoch=1"]
    record = cached(*overrides, "freeze.depth=2", folder="cut")
    assert "run again in every epoch: its forward pass cannot be traced" in caplog.text
    assert record.cost["cache"] | {"seconds": 0} == {"depth": 0, "found": 0, "computed": 0, "bytes": 0, "seconds": 0}
    # With all stages frozen, the backbone need not be cut.
    probe = cached(*overrides, "freeze.depth=all", folder="probe")
    assert probe.cost["cache"]["computed"] == EVALUATED  # too few training samples are read
    assert_equal(probe, tiny(*ALL, *overrides, "freeze.depth=all", folder="without"))


def test_activations_have_the_precision_of_the_trainer(cached, tiny):
    overrides = ["trainer.precision=bf16-mixed", "freeze.depth=1"]
    record = cached(*overrides, folder="mixed")
    assert record.cost["cache"]["computed"] == SAMPLES
    assert record.cost["cache"]["bytes"] == SAMPLES * 4 * 36 * 2
    for ours, theirs in zip(outcome(record), outcome(tiny(*ALL, *overrides, folder="without")), strict=True):
        assert ours == pytest.approx(theirs, rel=0.02)
    assert cached("freeze.depth=1", folder="full").cost["cache"]["found"] == 0


def test_damaged_entries_are_computed_again_in_a_run(cached, tmp_path, caplog):
    record = cached("freeze.depth=1", folder="first")
    for number, file in enumerate(sorted((tmp_path / "store").glob("*/1.bin"))):
        raw = np.memmap(file, mode="r+")
        raw[number] ^= 255
        raw.flush()
    again = cached("freeze.depth=1", folder="again")
    assert again.cost["cache"]["computed"] == SAMPLES
    assert "is damaged and not used" in caplog.text
    assert_equal(again, record)


def test_without_room_for_entries_a_run_trains_without_the_cache(cached, tiny, caplog):
    record = cached("freeze.depth=1", "cache.size=1e-9")
    assert "has no room for the activations of 1 stages" in caplog.text
    assert record.cost["cache"]["bytes"] == 0
    assert_equal(record, tiny(*ALL, "freeze.depth=1", folder="without"))


def test_rules_that_mix_inputs_read_inputs_instead_of_activations(cached, tiny):
    overrides = ["freeze.depth=1", "selection=mixval", "trainer.max_epochs=2"]
    record = cached(*overrides)
    scores = [
        [row["scores"]["mixval"] for row in each.epochs] for each in (record, tiny(*ALL, *overrides, folder="without"))
    ]
    assert scores[0] == pytest.approx(scores[1])


# Several splits ------------------------------------------------------------------------------------------------------


@pytest.fixture
def encoded(monkeypatch):
    """Return the number of samples of each batch for which the cache runs stages."""
    rows = []
    run = Forward.run

    def counted(self, x, depth):
        if depth:
            rows.append(len(x))
        return run(self, x, depth)

    monkeypatch.setattr(Forward, "run", counted)
    return rows


@pytest.fixture
def seeded(tiny, photos, tmp_path):
    """Return a function that trains a head on the same backbone with the split of a seed, and one without a cache."""
    data = [f"target.root={photos}", "target_labels=all", "data.workers=0", "data.steps_per_epoch=4", SMALL]
    data += ["target=image_folder", "backbone=test_resnet", "selection=target_val", "target.val=0.2", "source=null"]
    others = tmp_path / "others"  # the backbone has seen no sample of the runs
    for path in photos.glob("*/*"):
        (others / path.parent.name).mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.rotate(180).save(others / path.parent.name / path.name)
    begin = ["strategy=fine_tune", "start=scratch", "data.steps_per_epoch=1", f"target.root={others}"]
    tiny(*data, *begin, folder="start")
    data += ["strategy=linear_probe", "start=checkpoint", f"start.path={tmp_path / 'start' / 'last.ckpt'}"]

    def typed(seed):
        return *data, f"seed={seed}", f"target.split_seed={seed}"

    def launch(seed, store="store"):
        kept = ["cache=activations", f"cache.path={tmp_path / store}"]
        return tiny(*ALL, *typed(seed), *kept, folder=f"{store}_{seed}")

    return launch, lambda seed: tiny(*ALL, *typed(seed), folder=f"without_{seed}")


def test_runs_with_splits_of_their_own_encode_every_sample_once(seeded, encoded):
    launch, without = seeded
    records = [launch(seed) for seed in range(3)]
    assert sum(encoded) == 40
    assert [each.cost["cache"]["found"] for each in records] == [0, 40, 40]
    for seed, each in enumerate(records):
        assert_equal(each, without(seed))


def test_samples_that_no_run_reads_are_not_encoded(cached, encoded):
    """The target's training split has no stream in `source_only`, and the source is not opened by `as_is`."""
    cached("freeze.depth=1", "strategy=source_only", folder="source_only")
    assert sum(encoded) == SAMPLES
    encoded.clear()
    cached("freeze.depth=all", "strategy=linear_probe", "source=null", "target_labels=2", folder="probe")
    assert sum(encoded) == 24 + 3 * 2


def rows(root):
    """Return the bytes of every row in a store, by key and hash of the sample."""
    store, found = Store(root, 1e9), {}
    for key in {folder.name.partition("-")[0] for folder in root.iterdir() if folder.is_dir()}:
        for segment in store._segments(key):
            columns = [tensor.flatten(1).numpy() for tensor in segment.tensors]
            content = [b"".join(column[row].tobytes() for column in columns) for row in range(len(segment.samples))]
            found |= dict(zip(((key, name) for name in segment.samples), content, strict=True))
    return found


def test_the_activation_of_a_sample_does_not_depend_on_what_is_computed_with_it(seeded, tmp_path, photos):
    launch, _ = seeded
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    taken = [path.rename(hidden / f"{path.parent.name}_{path.name}") for path in sorted(photos.glob("*/*"))[3:20:2]]
    launch(1, "in_parts")
    for path in taken:
        path.rename(photos / path.name.partition("_")[0] / path.name.partition("_")[2])
    launch(0, "in_parts")
    launch(2, "at_once")
    together = rows(tmp_path / "at_once")
    assert len(together) == 2 * 40  # decoded images too
    assert rows(tmp_path / "in_parts") == together


def test_parts_of_a_union_share_the_rows_of_the_same_domains_alone(cached):
    alone = ["strategy=linear_probe", "freeze.depth=1", "target_labels=all", "source=null", "selection=target_val"]
    first = cached(*alone, "target=noon", folder="alone")
    joined = cached(*alone, "target=noon+dusk", folder="joined").cost["cache"]
    assert first.cost["cache"]["computed"] == 60
    assert (joined["found"], joined["computed"]) == (60, 60)


class ChangesFrozen(SourceOnly):
    """Changes a weight of a frozen stage."""

    def training_step(self, batch, batch_idx):
        self.network.backbone.get_parameter("conv.0.weight").data += 1
        return super().training_step(batch, batch_idx)


class TrainsFrozen(SourceOnly):
    """Trains a weight of a stage that the policy freezes."""

    def train(self, mode=True):
        super().train(mode)
        self.network.backbone.get_parameter("conv.0.weight").requires_grad_(True)
        return self


def test_a_run_that_changes_a_frozen_stage_fails(cached):
    with pytest.raises(LandbridgeError, match="stages that were frozen have changed"):
        cached("freeze.depth=1", f"strategy._target_={__name__}.ChangesFrozen")


def test_a_stage_that_the_strategy_trains_is_not_cached(cached):
    assert cached("freeze.depth=1", f"strategy._target_={__name__}.TrainsFrozen").cost["cache"]["depth"] == 0


@pytest.fixture
def photos(tmp_path):
    """Create forty images of two classes, all of different sizes, and return their folder."""
    draw = np.random.default_rng(0)
    for number in range(40):
        folder = tmp_path / "photos" / ("dark", "light")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 128, (40 + number, 60, 3)) + 127 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    return tmp_path / "photos"


@pytest.mark.parametrize("strategy", ["target_only", "fixmatch"])
def test_images_are_decoded_once(cached, tiny, photos, strategy, monkeypatch, tmp_path):
    overrides = ["target=image_folder", f"target.root={photos}", f"strategy={strategy}", "target_labels=2"]
    overrides += ["data.workers=0", "trainer.max_epochs=2", "target.val=0.2"]
    overrides += ["source=image_folder", f"source.root={photos}", "source.val=0.2"] if strategy == "fixmatch" else []
    without = tiny(*ALL, *overrides, folder="without")
    decode, decoded = image_files.decode, []
    monkeypatch.setattr(image_files, "decode", lambda path, *how: decoded.append(path) or decode(path, *how))
    record = cached(*overrides, folder="first")
    with np.load(tmp_path / "first" / records.SAMPLES) as samples:
        mistakes = sum(len(samples[name]) for name in samples.files if name.endswith("_mistakes"))
    # Two domains with the same files share rows. Two labels of each class are all that target_only reads in training.
    sizes = record.data["target"]["sizes"]
    read = 40 if strategy == "fixmatch" else 2 * 2 + sizes["val"] + sizes["test"]
    assert len(set(decoded[: len(decoded) - mistakes])) == read
    assert len(decoded) == read + mistakes, "mistakes are decoded again for their pictures"
    assert record.cost["cache"]["bytes"] == read * 28 * 28
    assert_equal(record, without)
    decoded.clear()
    assert_equal(cached(*overrides, folder="again"), without)
    assert len(decoded) == mistakes
    # The frozen stages run on the decoded images in the cache.
    decoded.clear()
    deeper = cached(*overrides, "freeze.depth=1", folder="deeper")
    assert len(decoded) <= len(deeper.results) * PICTURES
    assert_equal(deeper, tiny(*ALL, *overrides, "freeze.depth=1", folder="deeper_without"))


def test_images_that_are_read_in_another_way_have_other_entries(cached, tiny, photos):
    overrides = ["target=image_folder", f"target.root={photos}", "strategy=target_only", "target_labels=2"]
    overrides += ["data.workers=0", "trainer.max_epochs=1", "freeze.depth=1"]
    fingerprints = set()
    for how in ("crop", "squash", "pad"):
        settings = [*overrides, f"target.resize={how}", "target.hash_memo=null"]
        record = cached(*settings, folder=how)
        # The same files are in the store already, but read in another way.
        assert record.cost["cache"]["found"] == 0
        assert record.cost["cache"]["computed"] > 0
        assert_equal(record, tiny(*ALL, *settings, folder=f"{how}_without"))
        fingerprints.add(record.fingerprint)
    assert len(fingerprints) == 3
    assert cached(*overrides, "target.resize=pad", folder="pad").fingerprint in fingerprints
    again = cached(*overrides, "target.resize=squash", "optimizer.lr=0.5", folder="again")
    assert again.cost["cache"]["computed"] == 0


def test_a_changed_image_is_decoded_again(cached, photos):
    overrides = ["target=image_folder", f"target.root={photos}", "strategy=target_only", "target_labels=all"]
    overrides += ["data.workers=0", "target.val=0.2"]
    assert cached(*overrides, folder="first").cost["cache"]["computed"] == 40
    changed = sorted((photos / "dark").iterdir())[0]
    with Image.open(changed) as image:
        image.rotate(90).save(changed)
    # Splits depend on the content of the images, so other samples may be in other splits now.
    assert cached(*overrides, folder="second").cost["cache"]["computed"] == 1


def test_a_frozen_stage_has_no_gradient_and_is_in_evaluation_mode(tiny, compose):
    strategy = type("Still", (), {"requirements": Requirements(streams=set())})()
    strategy.network = type("Net", (), {"backbone": DuskNet()})()
    for depth, still in ((1, True), (2, False)):
        strategy.train = lambda: strategy.network.backbone.train_stages({1})
        assert stands_still(strategy, depth) is still
    strategy.network.backbone.train_stages({0, 1})
    strategy.train = lambda: strategy.network.backbone.requires_grad_(False)
    assert not stands_still(strategy, 1)


MEMORY = """
import resource, sys, torch
from pathlib import Path
from landbridge.activation_cache.store import Store
from landbridge.data.digests import Digests

def anonymous():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon")]
    return int(line.split()[1]) / 1024

rows, peak = int(sys.argv[1]), 0.0
names = Digests.numbered(rows)
def batches(missing):
    global peak
    for start in range(0, rows, 64):
        images = torch.full((64, 32, 16, 16), float(start)).to(memory_format=torch.channels_last)
        yield names[start : start + 64], [images]
        peak = max(peak, anonymous())
store = Store(Path(sys.argv[2]), 1e10)
next(batches(None))
before, peak = anonymous(), 0.0
for _ in range(2):  # cold and warm
    known = store.fetch(f"key{rows}", names, batches).activations(1)
    for indices in torch.randperm(rows).split(64):
        known.read(indices)
        peak = max(peak, anonymous())
print(peak - before)
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_number_of_samples(tmp_path):
    grown = [
        float(
            subprocess.run([sys.executable, "-c", MEMORY, str(rows), tmp_path], capture_output=True, check=True).stdout
        )
        for rows in (640, 6400)
    ]
    # 6400 rows are 210 MB.
    assert grown[1] < grown[0] + 20
    assert not len(Store(tmp_path, 1).find("key6400", Digests.numbered(6400)).missing)
