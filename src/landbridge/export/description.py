"""What a user of an exported model must know: it travels along in the file."""

import json
from typing import Any

from landbridge import __version__
from landbridge.data.formats import ImageFormat, TextFormat, VectorFormat
from landbridge.predict.finished_run import FinishedRun

#: Key of the description in a file's metadata, and that of the content of `tokenizer.json`.
KEY, TOKENIZER = "landbridge", "tokenizer"


def metadata(run: FinishedRun) -> dict[str, str]:
    """Return the metadata of an exported file, by key: the description as JSON and, for texts, the tokenizer."""
    found = {KEY: json.dumps(describe(run), ensure_ascii=False)}
    return found | ({TOKENIZER: run.format.tokenizer} if isinstance(run.format, TextFormat) else {})


def describe(run: FinishedRun) -> dict[str, Any]:
    """Describe what a model takes and what it predicts."""
    record = run.record
    kept = ("kind", "names", "tasks")
    task = {key: value for key, value in record.data["target"]["task"].items() if key in kept}
    leading = record.results["target"].get(record.leading)
    return {
        "names": list(run.task.names),
        "task": task,
        "input": _input(run),
        "trained": {
            "landbridge": __version__,
            "strategy": record.choices.get("strategy") or record.config["strategy"]["_target_"].rpartition(".")[2],
            "target": record.data["target"]["name"],
            "fingerprint": record.fingerprint,
            "overrides": record.overrides,
            record.leading: leading,
        },
    }


def _input(run: FinishedRun) -> dict[str, Any]:
    if isinstance(run.format, ImageFormat):
        height, width = run.format.size
        return {
            "kind": "image",
            "dtype": "uint8",
            "shape": ["n", run.format.channels, height, width],
            "order": "grey" if run.format.channels == 1 else "RGB",
            "crop": run.format.crop if run.inputs.get("files") and run.reading.resize == "crop" else None,
            "resize": run.reading.resize if run.inputs.get("files") else "squash",
            "invert": run.reading.invert,
            "interpolation": run.format.interpolation,
            "mean": list(run.format.mean),
            "std": list(run.format.std),
        }
    if isinstance(run.format, VectorFormat):
        columns = run.inputs.get("columns")
        shape: dict[str, Any] = {"kind": "vector", "dtype": "float32", "shape": ["n", run.format.width]}
        return shape | ({"columns": columns} if columns else {})
    assert isinstance(run.format, TextFormat)
    return {"kind": "text", "longest": run.format.longest, "pad": run.format.pad}
