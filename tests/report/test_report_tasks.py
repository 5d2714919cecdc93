"""Reports on real runs with other tasks than one class a sample."""

import csv
import io
import re

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, r2_score
from test_report_page import parsed

from landbridge.record import OUTPUTS, Record, read_arrays
from landbridge.report.__main__ import main
from landbridge.run.run import run

TASKS = {"dusk": "accuracy", "measured": "r2", "tagged": "mean_average_precision", "both": "mean"}
STRATEGIES = ("source_only", "coral")


@pytest.fixture(scope="session")
def tasks(compose, tmp_path_factory):
    """Return a folder with runs of two strategies over two seeds for each task, and the report on them."""
    folder = tmp_path_factory.mktemp("tasks")
    for task in TASKS:
        target = "dusk.dusk" if task == "dusk" else f"task_domains.{task}"
        domains = [f"{role}._target_={target}" for role in ("source", "target")]
        for strategy in STRATEGIES:
            for seed in (0, 1):
                overrides = [f"strategy={strategy}", f"seed={seed}", "trainer.max_epochs=2", *domains]
                run(compose("experiment=tiny", *overrides), folder / f"{task}-{strategy}-{seed}", overrides)
    main([str(folder)])
    return folder


def rows(folder, name):
    return list(csv.DictReader(io.StringIO((folder / name).read_text())))


def arrays(folder, task, strategy, seed):
    kept = read_arrays(folder / f"{task}-{strategy}-{seed}" / OUTPUTS)
    return kept["target_labels"], kept["target_logits"]


def test_pairs_of_different_tasks_are_never_in_one_table_or_matrix(tasks):
    page, text = parsed(tasks), (tasks / "report.html").read_text()
    metrics = []
    for i in range(len(TASKS)):
        table = page.table("table-cells" + (f"-{i}" if i else ""))
        assert len(table) == len(STRATEGIES)
        assert len({row["target"] for row in table}) == 1
        metrics.append({key for row in table for key in row} & set(TASKS.values()))
    assert sorted(metric for (metric,) in metrics) == sorted(TASKS.values())
    matrices = re.findall(r'<figure class="matrix">.*?</figure>', text, re.DOTALL)
    assert len(matrices) == len(TASKS)
    assert all(matrix.count('<th scope="col">') == 1 for matrix in matrices)
    assert 'data-key="rank"' not in text


def test_verdicts_are_corrected_for_the_comparisons_of_all_tasks(tasks):
    judged = [row for row in rows(tasks, "report.csv") if row["verdict"]]
    reasons = {row["reason"] for row in judged}
    assert reasons == {"2 seeds are too few (5 are needed)"}
    assert {row["corrected_over"] for row in judged} == {"4"}


def test_scores_equal_those_of_scikit_learn(tasks):
    cells = {(row["metric"], row["strategy"]): row for row in rows(tasks, "report.csv")}
    for strategy in STRATEGIES:
        values = [r2_score(*arrays(tasks, "measured", strategy, seed)) for seed in (0, 1)]
        assert float(cells["r2", strategy]["r2"]) == pytest.approx(np.mean(values), rel=1e-4)
        assert not cells["r2", strategy]["accuracy"]
    errors = {
        strategy: [mean_absolute_error(*arrays(tasks, "measured", strategy, seed)) for seed in (0, 1)]
        for strategy in STRATEGIES
    }
    main([str(tasks), "--metric", "mae", "--out", str(tasks / "mae")])
    (row,) = [row for row in rows(tasks / "mae", "report.csv") if row["strategy"] == "coral"]
    gain = np.mean(errors["source_only"]) - np.mean(errors["coral"])
    assert float(row["gain"]) == pytest.approx(gain, abs=1e-6)
    assert float(row["gain_low"]) <= gain <= float(row["gain_high"])
    # The mean absolute error is a mean over test samples, and R2 is not.
    assert "this test set only" not in row["flags"]
    assert "this test set only" in cells["r2", "coral"]["flags"]


def test_several_tasks_have_a_table_with_the_leading_metric_of_each(tasks):
    table = {row["strategy"]: row for row in rows(tasks, "tasks.csv")}
    assert table.keys() == set(STRATEGIES)
    for strategy, row in table.items():
        results = [Record.read(tasks / f"both-{strategy}-{seed}").results["target"]["by_task"] for seed in (0, 1)]
        for task, metric in (("shape", "accuracy"), ("size", "r2")):
            mean = np.mean([result[task][metric] for result in results])
            assert float(row[f"by_task.{task}.{metric}"]) == pytest.approx(mean, rel=1e-5)
    assert "shape: accuracy, %" in (tasks / "report.md").read_text()


def test_single_runs_are_drawn_by_their_task(tasks):
    page = (tasks / "report.html").read_text()
    runs = dict(
        re.findall(r"<summary><b>coral</b> noon[^→]*→ dusk(.*?), seed.*?<template>(.*?)</template>", page, re.DOTALL)
    )
    drawn = {name.strip(" ()") or "dusk": content for name, content in runs.items()}
    assert len(drawn) == len(TASKS)
    assert "confusion matrix" in drawn["classification"]
    assert "predicted against true size" in drawn["regression"]
    assert "coloured by size" in drawn["regression"]
    assert 'class="crosses v' in drawn["regression"]
    assert "Average precision by class" in drawn["multi-label"]
    assert "shape. Confusion" in drawn["several"]
    assert "size. size: R2" in drawn["several"]
    assert "confusion matrix" not in drawn["regression"] + drawn["multi-label"]
    for content in drawn.values():
        assert content.count("<figcaption>Before training, principal components") == 1
        assert "Not shown" not in content


def test_average_precision_by_class_is_that_of_the_record(tasks):
    result = Record.read(tasks / "tagged-coral-0").results["target"]
    labels, _ = arrays(tasks, "tagged", "coral", 0)
    page = (tasks / "report.html").read_text()
    for index, (name, value) in enumerate(result["average_precision_by_class"].items()):
        cells = f'data-v="{name}">{name}</td><td class="number" data-v="{int(labels[:, index].sum())}">'
        assert re.search(rf'{cells}.*?data-v="{value:.6g}">{100 * value:.1f}<', page)
