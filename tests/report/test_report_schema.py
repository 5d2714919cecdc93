"""Records of schema 1, in which all tasks were classifications, give the same page as those of schema 2."""

import re

import numpy as np
from made_records import made, write

from landbridge.report.__main__ import main


def records():
    rng = np.random.default_rng(0)
    return [
        made(
            strategy,
            round(0.5 + 0.1 * k + 0.05 * rng.uniform(), 3),
            seed,
            source,
            rules={"im": list(rng.uniform(size=3))},
        )
        for source in ("noon", "dawn")
        for k, strategy in enumerate(("source_only", "dann", "mcc"))
        for seed in range(3)
    ]


def test_both_schemas_give_equal_pages_and_tables(tmp_path):
    files = {}
    for schema in (1, 2):
        folder = write(tmp_path / str(schema), records(), outputs=True, schema=schema)
        main([str(folder), "--title", "made"])
        texts = {file.name: file.read_text().replace(str(folder), "") for file in folder.glob("r*.*")}
        files[schema] = {name: re.sub(r"Made .+? UTC|\b[12]/\d+", "", text) for name, text in texts.items()}
    assert files[1].keys() == {"report.html", "report.md", "report.csv", "runs.csv"}
    assert files[1] == files[2]
    assert "accuracy, %" in files[1]["report.md"]
    assert "cannot be read" not in files[1]["report.html"]
