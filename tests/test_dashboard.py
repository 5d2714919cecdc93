"""The results that a finished run logs to wandb, read from the files of an offline run."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from landbridge.record import OUTPUTS, SAMPLES, read_arrays
from test_run import wandb_run

pytest.importorskip("wandb")

SCRIPT = Path(__file__).parents[1] / "scripts" / "wandb_workspace.py"


@pytest.fixture
def files(tiny, tmp_path):
    """Run with the wandb logger, and return the record, the saved arrays and wandb's folder of files."""
    record = tiny("logger=wandb", "trainer.max_epochs=2", "target.shift=0.7")
    (folder,) = (tmp_path / "run").glob("wandb/offline-run-*/files/media")
    return record, read_arrays(tmp_path / "run" / OUTPUTS), read_arrays(tmp_path / "run" / SAMPLES), folder


def table(folder, name):
    (path,) = folder.glob(f"table/{name}_*.table.json")
    content = json.loads(path.read_text())
    return content["columns"], content["data"]


def test_wandb_has_the_tables_and_pictures_of_the_report(files):
    record, outputs, samples, folder = files
    assert 0 < len(samples["target_mistakes"]) == len(list(folder.glob("images/test/confident_mistakes_*.png")))
    columns, rows = table(folder, "oracle/selection")
    scores = [epoch["scores"] for epoch in record.epochs]
    assert [row[columns.index("oracle")] for row in rows] == pytest.approx([each["oracle"] for each in scores])
    assert [row[columns.index("source_val")] for row in rows] == pytest.approx([each["source_val"] for each in scores])
    columns, rows = table(folder, "test/embedding")
    assert columns == ["training", "domain", "class", "first", "second"]
    assert len(rows) == 2 * sum(len(samples[f"{role}_positions"]) for role in ("source", "target"))
    columns, rows = table(folder, "test/confusion_table")
    classes, counts = record.data["target"]["classes"], columns.index("nPredictions")
    predicted = outputs["target_logits"].argmax(1)
    for row in rows:
        actual, guess = (classes.index(row[columns.index(name)]) for name in ("Actual", "Predicted"))
        assert row[counts] == np.sum((outputs["target_labels"] == actual) & (predicted == guess))


@pytest.mark.parametrize(
    ("task", "metrics", "columns"),
    [
        ("measured", {"r2", "mae", "rmse"}, ["training", "domain", "value", "first", "second"]),
        ("tagged", {"mean_average_precision"}, ["training", "domain", "first", "second"]),
        ("both", {"mean", "shape/accuracy", "size/r2"}, ["training", "domain", "first", "second"]),
    ],
)
def test_other_tasks_have_their_metrics_and_embeddings(tiny, tmp_path, task, metrics, columns):
    target = f"task_domains.{task}"
    record = tiny("logger=wandb", f"source._target_={target}", f"target._target_={target}")
    (folder,) = (tmp_path / "run").glob("wandb/offline-run-*/files/media")
    assert table(folder, "test/embedding")[0] == columns
    _, logged, _ = wandb_run(tmp_path / "run")
    assert {f"test/target/{metric}" for metric in metrics} <= logged.keys()
    assert logged[f"test/target/{record.leading}"] == record.results["target"][record.leading]
    if task == "measured":
        outputs = read_arrays(tmp_path / "run" / OUTPUTS)
        (rows,) = [
            json.loads(path.read_text())["data"] for path in folder.glob("table/test/predictions/size_table_*.json")
        ]
        assert rows == pytest.approx(np.hstack([outputs["target_labels"], outputs["target_logits"]]))


# A package of wandb uses validators of pydantic 1.
@pytest.mark.filterwarnings("ignore:Pydantic V1 style:DeprecationWarning")
@pytest.mark.usefixtures("files")
def test_the_workspace_shows_only_entries_that_runs_log(tmp_path):
    pytest.importorskip("wandb_workspaces")
    described = runpy.run_path(str(SCRIPT))["workspace"]("me", "landbridge", "x")._to_model().model_dump_json()
    _, logged, _ = wandb_run(tmp_path / "run")
    shown = set(re.findall(r'"((?:test|train|val|oracle)/[\w/]+)"', described))
    assert len(shown) >= 8
    # A table or picture is logged as several entries whose names start with its own.
    missing = {name for name in shown if not any(f"{key}/".startswith(f"{name}/") for key in logged)}
    # Only runs with selection=oracle log results under this name.
    assert missing == {"oracle/target/accuracy"}
    assert {"pair", "strategy"} <= logged.keys()
