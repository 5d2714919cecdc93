"""Soups of runs: means of weights, and the runs that are refused."""

import json
import shutil

import pytest
import torch

from dusk import assert_exact_statistics
from landbridge.errors import LandbridgeError
from landbridge.record import Record
from landbridge.run.run import run


def weights(folder, name="last.ckpt"):
    state = torch.load(folder / name, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if name.startswith("network.")}


def without_statistics(state):
    return {name: value for name, value in state.items() if "running" not in name and "batches" not in name}


@pytest.fixture(scope="module")
def made(compose, tmp_path_factory):
    """Three runs with the same initial weights that differ in their learning rate."""
    folder = tmp_path_factory.mktemp("sweep")
    for lr in (0.0001, 0.003, 0.03):
        cfg = compose("experiment=tiny", "strategy=target_only", "target_labels=2", f"optimizer.lr={lr}")
        run(cfg, folder / str(lr))
    return folder


@pytest.fixture
def sweep(made, tmp_path):
    """A copy of the runs, which a test may change."""
    return shutil.copytree(made, tmp_path / "sweep")


@pytest.fixture
def soup(tiny, sweep, tmp_path):
    """A function that makes a soup of the runs."""

    def launch(*overrides, folder="soup"):
        overrides = ("target_labels=2", *overrides)
        record = tiny("strategy=soup", f"strategy.folder={sweep}", *overrides, folder=folder)
        return record, weights(tmp_path / folder)

    return launch


def test_a_uniform_soup_is_the_mean_with_its_own_statistics(soup, sweep):
    record, mixed = soup("trainer.max_epochs=3")
    runs = [weights(path.parent) for path in sorted(sweep.rglob("record.json"))]
    for name, value in without_statistics(mixed).items():
        torch.testing.assert_close(value, sum(run[name] for run in runs) / 3)
    assert_exact_statistics(mixed)
    assert record.epochs[0]["ingredients"] == ["0.0001", "0.003", "0.03"]
    assert len(record.epochs) == 1
    assert record.cost["trainable_parameters"] == 0


def test_a_soup_of_numbers_keeps_their_units_and_refuses_others(tiny, tmp_path):
    domains = ("source=null", "target=linear", "backbone=mlp")
    for lr, labels in ((0.001, 20), (0.01, 20), (0.02, 10)):
        overrides = ("strategy=target_only", f"target_labels={labels}", f"optimizer.lr={lr}")
        tiny(*domains, *overrides, folder=f"runs/{labels}/{lr}")
    soup = ("strategy=soup", "target_labels=20", f"strategy.folder={tmp_path / 'runs'}")
    with pytest.raises(LandbridgeError, match=r"0\.001/last.ckpt predicts numbers in other units than .*0\.02"):
        tiny(*domains, *soup, folder="refused")
    shutil.rmtree(tmp_path / "runs" / "10")
    tiny(*domains, *soup, folder="soup")
    mixed, one, other = (weights(tmp_path / name) for name in ("soup", "runs/20/0.001", "runs/20/0.01"))
    assert mixed["network.units.centre"].equal(one["network.units.centre"])
    assert mixed["network.units.scale"].equal(other["network.units.scale"])
    torch.testing.assert_close(
        mixed["network.head.weight"], (one["network.head.weight"] + other["network.head.weight"]) / 2
    )


@pytest.mark.parametrize("how", ["uniform", "greedy"])
def test_the_soup_of_one_run_is_that_run(how, soup, sweep):
    for name in ("0.003", "0.03"):
        shutil.rmtree(sweep / name)
    record, mixed = soup(f"strategy.how={how}")
    alone = weights(sweep / "0.0001")
    assert all(mixed[name].equal(alone[name]) for name in alone)
    assert record.results["target"]["correct"] == Record.read(sweep / "0.0001").results["target"]["correct"]


def test_the_soup_of_equal_runs_is_that_run(soup, sweep):
    for name in ("0.003", "0.03"):
        shutil.copy(sweep / "0.0001" / "last.ckpt", sweep / name / "last.ckpt")
    _, mixed = soup()
    alone = weights(sweep / "0.0001")
    assert all(value.equal(alone[name]) for name, value in without_statistics(mixed).items())


def test_the_validation_accuracy_of_a_greedy_soup_is_not_below_that_of_its_best_run(soup, sweep):
    record, mixed = soup("strategy.how=greedy", "selection=target_val")
    kept = record.epochs[0]["ingredients"]
    alone = {p.parent.name: Record.read(p).epochs[-1]["scores"]["target_val"] for p in sweep.rglob("record.json")}
    assert alone[kept[0]] == max(alone.values())
    assert record.epochs[0]["scores"]["target_val"] >= max(alone.values())
    runs = [weights(sweep / name) for name in kept]
    for name, value in without_statistics(mixed).items():
        torch.testing.assert_close(value, sum(run[name] for run in runs) / len(runs))


def test_lora_runs_are_merged_and_soups_and_failed_runs_are_left_out(soup, sweep, tiny):
    lora = tiny("strategy=target_only", "target_labels=2", "tuning=lora", folder="sweep/lora")
    assert lora.status == "done"
    failed = json.loads((sweep / "0.03" / "record.json").read_text()) | {"status": "failed"}
    (sweep / "0.03" / "record.json").write_text(json.dumps(failed))
    soup(folder="sweep/soup")
    record, _ = soup(folder="again")
    assert record.epochs[0]["ingredients"] == ["0.0001", "0.003", "lora"]


def test_a_soup_of_changed_runs_is_another_run(soup, sweep):
    first, _ = soup()
    again, _ = soup()
    assert again.fingerprint == first.fingerprint
    shutil.copy(sweep / "0.0001" / "last.ckpt", sweep / "0.03" / "last.ckpt")
    with pytest.raises(LandbridgeError, match="holds the record of another run"):
        soup()
    other, _ = soup(folder="other")
    shutil.rmtree(sweep / "0.03")
    fewer, _ = soup(folder="fewer")
    assert len({each.fingerprint for each in (first, other, fewer)}) == 3


def changed(sweep, **changes):
    path = sweep / "0.003" / "record.json"
    content = json.loads(path.read_text())
    for place, value in changes.items():
        *way, last = place.split("__")
        node = content
        for step in way:
            node = node[step]
        node[last] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data__target__classes": ["a", "b", "c"]}, r"0\.003 has other classes"),
        ({"selection__oracle": True}, r"0\.003 was chosen by an oracle"),
        ({"selection__checkpoint": None}, r"0\.003 has no checkpoint"),
        ({"config__target_labels": "all"}, r"trained on target_labels=all of seed=0, which target_labels=2"),
        ({"config__seed": 1}, r"trained on target_labels=2 of seed=1, which target_labels=2 and seed=0 hide"),
    ],
)
def test_runs_that_do_not_fit_are_refused(changes, message, soup, sweep):
    changed(sweep, **changes)
    with pytest.raises(LandbridgeError, match=message):
        soup()


def test_another_architecture_is_refused(soup, sweep, tiny):
    tiny("strategy=target_only", "target_labels=2", "backbone=digits_cnn", folder="sweep/other")
    with pytest.raises(LandbridgeError, match=r"other/last\.ckpt holds another architecture, first at backbone\."):
        soup()


def test_a_folder_without_runs_and_a_setting_without_labels_are_refused(soup, tiny, tmp_path):
    with pytest.raises(LandbridgeError, match="no finished run lies under"):
        soup(f"strategy.folder={tmp_path / 'nowhere'}")
    tiny(folder="blind/0")
    with pytest.raises(LandbridgeError, match="reads target validation labels, but this setting hides all of them"):
        soup(f"strategy.folder={tmp_path / 'blind'}", "strategy.how=greedy", "target_labels=0", folder="other")
