"""Plots of single runs: predictions, embeddings before and after training, most confident mistakes."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from scipy.special import softmax

from landbridge.record import OUTPUTS, SAMPLES
from landbridge.report.numbers import signed, significant
from landbridge.report.runs import Run
from landbridge.report.single_runs import charts
from landbridge.report.single_runs.detail import Detail, Mistake
from landbridge.report.single_runs.embeddings import coloured, colouring
from landbridge.report.single_runs.predictions import draw

#: Projections of test samples to the plane, with their names on the page.
LAYOUTS = {"pca": "principal components", "tsne": "t-SNE"}

#: What the pictures of wrong predictions show, by the kind of the task.
TITLES = {"classification": "Most confident mistakes", "regression": "Largest errors"}


def detail(run: Run, embedding: str = "pca") -> Detail:
    """Read the test outputs and test samples of a run and draw them. Missing or damaged files are listed in `missing`.

    Args:
        run: the run.
        embedding: projection of test samples to the plane, `pca` or `tsne`.
    """
    found = Detail(run)
    outputs = _load(run, OUTPUTS, found)
    samples = _load(run, SAMPLES, found)
    try:
        task, result = run.task(), run.record.results["target"]
        if outputs:
            draw(found, task, outputs["target_logits"], outputs["target_labels"], result)
        if outputs and samples:
            _samples(found, samples, outputs, embedding)
        if outputs and samples and "target_pictures" in samples and task["kind"] in TITLES:
            found.mistakes_title = TITLES[task["kind"]]
            found.mistakes = _mistakes(samples, outputs, task)
    except (KeyError, IndexError, ValueError) as error:
        found.missing.append(f"{OUTPUTS} or {SAMPLES} does not fit the record ({type(error).__name__} {error})")
    return found


def _samples(found: Detail, samples: dict[str, np.ndarray], outputs: dict[str, np.ndarray], embedding: str) -> None:
    """Draw the embeddings before and after training."""
    roles = [role for role in ("source", "target") if f"{role}_after" in samples]
    tasks = {role: found.run.task(role) for role in roles}
    labels = {role: outputs[f"{role}_labels"][samples[f"{role}_positions"]] for role in roles}
    for moment in ("before", "after"):
        plane = _plane([samples[f"{role}_{moment}"].astype(float) for role in roles], embedding)
        groups, scale = coloured(dict(zip(roles, plane, strict=True)), labels, tasks)
        name = f"{moment.capitalize()} training, {LAYOUTS[embedding]}{colouring(list(tasks.values()))}"
        found.plots.append((name, charts.embedding(groups, name, scale)))


def _plane(coordinates: list[np.ndarray], embedding: str) -> list[np.ndarray]:
    """Project the samples of all domains jointly to the plane, from their principal components (n, k)."""
    if embedding == "pca":
        # Features of dimension 1 have only one principal component, so that the second is padded with 0.
        return [np.pad(each, ((0, 0), (0, max(0, 2 - each.shape[1]))))[:, :2] for each in coordinates]
    from sklearn.manifold import TSNE

    together = np.concatenate(coordinates)
    plane = TSNE(perplexity=min(30, (len(together) - 1) / 3), random_state=0).fit_transform(together)
    return np.split(plane, np.cumsum([len(each) for each in coordinates])[:-1])


def _mistakes(samples: dict[str, np.ndarray], outputs: dict[str, np.ndarray], task: Mapping[str, Any]) -> list[Mistake]:
    mistakes = []
    said = _wrong_class if task["kind"] == "classification" else _wrong_numbers
    for position, picture in zip(samples["target_mistakes"], samples["target_pictures"], strict=True):
        file = io.BytesIO()
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(file, "PNG")
        png = base64.b64encode(file.getvalue()).decode()
        own = outputs["target_logits"][position].astype(float), outputs["target_labels"][position]
        sample = str(outputs["target_ids"][position]) if "target_ids" in outputs else ""
        # A file name may hold bytes that are no text, which a page cannot hold.
        sample = sample.encode(errors="backslashreplace").decode()
        mistakes.append(Mistake(png, *said(task["names"], *own), sample))
    return mistakes


def _wrong_class(classes: Sequence[str], logits: np.ndarray, label: Any) -> tuple[str, str, str]:
    """Return the class, the predicted class, and its probability."""
    probabilities = softmax(logits)
    predicted = int(probabilities.argmax())
    truth = classes[int(label)] if label < len(classes) else "unknown"
    return truth, classes[predicted], f"{100 * probabilities[predicted]:.0f} %"


def _wrong_numbers(names: Sequence[str], outputs: np.ndarray, labels: np.ndarray) -> tuple[str, str, str]:
    """Return the numbers, the predicted ones, and their errors. A number that is missing is left out."""
    seen = [k for k in range(len(names)) if not np.isnan(labels[k])]
    truth, predicted = ("; ".join(significant(float(values[k])) for k in seen) for values in (labels, outputs))
    return truth, predicted, "error " + "; ".join(signed(float(outputs[k] - labels[k])) for k in seen)


def _load(run: Run, name: str, found: Detail) -> dict[str, np.ndarray] | None:
    path = run.folder / name
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        found.missing.append(f"{name} is missing in the folder of the run")
    except Exception as error:  # the reader of a truncated archive can raise any exception
        found.missing.append(f"{name} cannot be read ({type(error).__name__})")
    return None
