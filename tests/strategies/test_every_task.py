"""Every strategy with every kind of task: it trains, or it is refused in one sentence before it starts.

The tests are generated from the folder `conf/strategy/` and from the tasks in `dusk_tasks`.
"""

import math

import pytest
from omegaconf import DictConfig
from test_every_strategy import EVERY, content, differences, logged, setting, without_oracle  # noqa: F401

from dusk_tasks import TASKS
from landbridge.errors import LandbridgeError
from landbridge.run.checkpoints import LAST, SELECTED
from landbridge.run.initial_network import strategy_class
from landbridge.run.needs import require_task
from landbridge.strategies.terms import TERMS, join_terms
from landbridge.tasks import NUMBERS, ONE_CLASS

#: Strategies without anything that needs classes. They must serve every task.
FOR_ALL = {"source_only", "target_only", "fine_tune", "l2_sp", "linear_probe", "dann", "dan", "coral", "adabn", "as_is"}


HIDDEN_LABELS = [("target_only", 8), ("source_only", 0), ("source_only", 8), ("dann", 0), ("dann", 8), ("l2_sp", 8)]


def domains(kind: str) -> tuple[str, str]:
    return f"source=noon_{kind}", f"target=dusk_{kind}"


def labels_for(cfg: DictConfig) -> int:
    """Return a number of labelled samples: 0 if the strategy can do without."""
    terms = join_terms(cfg.strategy.get("terms"), None).values()
    needs = strategy_class(cfg).requirements.streams.union(*(term.streams for term in terms))
    return 8 if "target" in needs else 0


@pytest.fixture(scope="session")
def source_models(tmp_path_factory):
    """Return a folder of source models, one for each kind of task."""
    return tmp_path_factory.mktemp("source_models")


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("strategy", EVERY)
def test_every_strategy_serves_a_task_or_is_refused(strategy, kind, setting, compose, tiny, source_models):  # noqa: F811
    cfg = compose("experiment=tiny", f"strategy={strategy}")
    terms = join_terms(cfg.strategy.get("terms"), None).values()
    needs = strategy_class(cfg).requirements.needs.union(*(term.needs for term in terms))
    assert needs in ({ONE_CLASS}, {NUMBERS}, set())
    assert not needs or strategy not in FOR_ALL
    if not needs <= TASKS[kind].gives:
        with pytest.raises(LandbridgeError) as refused:
            require_task(cfg, TASKS[kind], strategy)
        assert str(refused.value).endswith(f", and the target's task is {kind.replace('_', ' ')}")
        assert str(refused.value).startswith((f"strategy {strategy} ", "terms: "))
        return
    require_task(cfg, TASKS[kind], strategy)
    overrides = [*setting(strategy, labels_for(cfg), *domains(kind), cache=source_models)]
    record = tiny(*overrides)
    assert record.status == "done"
    for result in record.results.values():
        assert result["n"] == 12
        assert math.isfinite(result[TASKS[kind].leading])
    assert all(math.isfinite(loss) for row in record.epochs for loss in row["losses"].values())


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("term", TERMS)
def test_every_term_serves_a_task_or_is_refused(term, kind, tiny, source_models):
    overrides = [*domains(kind), "strategy=source_only", f"terms=[{term}]", "target_labels=8"]
    if TERMS[term].replaces_weight_decay:  # it also needs trained initial weights
        overrides += ["optimizer.weight_decay=0", "start=source", f"start.cache={source_models}"]
    if not TERMS[term].needs <= TASKS[kind].gives:
        with pytest.raises(
            LandbridgeError, match=rf"^terms: {term} needs one class a sample, and the target's task is"
        ):
            tiny(*overrides)
        return
    (row,) = tiny(*overrides).epochs
    assert math.isfinite(row["losses"][f"+{term}"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize(("strategy", "budget"), HIDDEN_LABELS)
def test_hidden_labels_change_only_the_final_test(
    strategy,
    kind,
    budget,
    setting,  # noqa: F811
    tiny,
    tmp_path,
    source_models,
):
    overrides = [*setting(strategy, budget, *domains(kind), cache=source_models), "logger=csv", "trainer.max_epochs=2"]
    labels = next(each for each in overrides if each.startswith("target_labels=")).partition("=")[2]
    honest = tiny(*overrides, folder="honest")
    garbage = tiny(*overrides, "target._target_=dusk_tasks.lying_task", f"target.budget={labels}", folder="garbage")
    assert garbage.data["target"]["fingerprint"] != honest.data["target"]["fingerprint"]
    assert garbage.results["target"] != honest.results["target"]
    for name in (LAST, SELECTED):
        kept, other = tmp_path / "honest" / name, tmp_path / "garbage" / name
        assert kept.exists() == other.exists()
        if kept.exists():
            assert not differences(content(other.parent, name), content(kept.parent, name))
    assert not differences(without_oracle(garbage.epochs), without_oracle(honest.epochs))
    assert garbage.selection == honest.selection
    assert logged(tmp_path / "garbage") == logged(tmp_path / "honest")


def test_a_run_is_refused_before_it_starts(tiny, tmp_path):
    with pytest.raises(LandbridgeError, match=r"^strategy MCD needs one class a sample, and the .* task is several$"):
        tiny(*domains("several"), "strategy=mcd")
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_rule_for_classes_is_refused_for_another_task(tiny):
    with pytest.raises(
        LandbridgeError, match="selection=entropy needs one class a sample, and the target's task is regression"
    ):
        tiny(*domains("regression"), "strategy=source_only", "selection=entropy")


@pytest.mark.parametrize("kind", TASKS)
def test_the_oracle_scores_every_epoch_by_the_leading_metric(kind, tiny):
    record = tiny(*domains(kind), "strategy=source_only", "trainer.max_epochs=2", "selection=oracle")
    scores = [row["scores"]["oracle"] for row in record.epochs]
    assert all(math.isfinite(score) for score in scores)
    assert record.selection == {**record.selection, "oracle": True, "epoch": scores.index(max(scores))}


def test_a_source_with_another_task_is_refused(tiny):
    with pytest.raises(LandbridgeError, match="must have the same task"):
        tiny("source=noon_multi_label", "target=dusk_regression", "strategy=source_only")


@pytest.mark.parametrize("averaging", ["ema", "swa"])
def test_averaged_weights_have_the_units_of_the_data(averaging, tiny):
    record = tiny(*domains("regression"), "strategy=source_only", f"averaging={averaging}", "trainer.max_epochs=3")
    assert record.results["source"]["rmse"] < 1000
