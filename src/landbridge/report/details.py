"""One run in pictures: confusion, calibration, embeddings before and after, and its most confident mistakes."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from scipy.special import softmax

from landbridge.record import OUTPUTS, SAMPLES
from landbridge.report import charts
from landbridge.report.numbers import percent
from landbridge.report.runs import Run
from landbridge.report.svg import Plot

#: A class with more names than this has no confusion matrix on the page.
MOST_CLASSES = 60


@dataclass
class Mistake:
    """A wrong prediction with its picture, as the content of a PNG file."""

    png: str
    label: str
    predicted: str
    confidence: str


@dataclass
class Detail:
    """What is shown of one run.

    Attributes:
        run: the run.
        plots: with their captions.
        mistakes: of the target's test split, the most confident first.
        missing: what cannot be shown, and why.
    """

    run: Run
    plots: list[tuple[str, Plot]] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def detail(run: Run) -> Detail:
    """Read what lies beside a record, and draw it. Files that are missing or damaged are named on the page."""
    found = Detail(run)
    classes = run.record.data["target"]["classes"]
    outputs = _load(run, OUTPUTS, found)
    if outputs and "target_logits" in outputs:
        labels, logits = outputs["target_labels"], outputs["target_logits"].astype(float)
        probabilities = softmax(logits, axis=1)
        predicted = probabilities.argmax(1)
        matrix = np.zeros((len(classes), len(classes)), dtype=int)
        np.add.at(matrix, (labels, predicted), 1)
        if len(classes) <= MOST_CLASSES:
            found.plots.append(("Confusion, target test", charts.confusion(matrix, classes)))
        else:
            found.missing.append(f"a confusion matrix of {len(classes)} classes is not drawn")
        curve = charts.reliability(probabilities.max(1), predicted == labels)
        found.plots.append(
            (f"Calibration, target test: error {percent(run.record.results['target']['ece'])} points", curve)
        )
    samples = _load(run, SAMPLES, found)
    if samples and outputs:
        roles = [role for role in ("source", "target") if f"{role}_after" in samples]
        for moment in ("before", "after"):
            groups = {
                role: (
                    samples[f"{role}_{moment}"][:, :2].astype(float),
                    outputs[f"{role}_labels"][samples[f"{role}_positions"]],
                )
                for role in roles
            }
            name = f"Test samples {moment} training, first two principal components"
            found.plots.append((name, charts.embedding(groups, classes, name)))
        if "target_pictures" in samples:
            found.mistakes = _mistakes(samples, outputs, classes)
    return found


def _mistakes(samples: dict[str, np.ndarray], outputs: dict[str, np.ndarray], classes: Sequence[str]) -> list[Mistake]:
    mistakes = []
    for position, picture in zip(samples["target_mistakes"], samples["target_pictures"], strict=True):
        probabilities = softmax(outputs["target_logits"][position].astype(float))
        predicted = int(probabilities.argmax())
        file = io.BytesIO()
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(file, "PNG")
        png = base64.b64encode(file.getvalue()).decode()
        label = classes[int(outputs["target_labels"][position])]
        mistakes.append(Mistake(png, label, classes[predicted], f"{100 * probabilities[predicted]:.0f} %"))
    return mistakes


def _load(run: Run, name: str, found: Detail) -> dict[str, np.ndarray] | None:
    path = run.folder / name
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except FileNotFoundError:
        found.missing.append(f"{name} is not in the run's folder")
    except Exception as error:  # a cut-off archive raises whatever its reader stumbles over
        found.missing.append(f"{name} cannot be read ({type(error).__name__})")
    return None
