"""Garbage in hidden labels of texts, of images in a table and of unions changes no weight.

`test_every_strategy` does the same for images in memory, and `test_every_task` for other tasks.
"""

import pytest
from PIL import Image
from test_every_strategy import STRATEGIES, content, differences, logged, setting, without_oracle  # noqa: F401

from dusk import CLASSES, dusk

TEXT = ("backbone=tiny_bert", "data.workers=0")
#: Source, target and backbone; and what makes the hidden labels of the target wrong.
KINDS = {
    "texts": (("source=murmur", "target=chatter", *TEXT), "lying_chatter"),
    "images of a table": (("source=noon", "target=table", "target.image=path", "target.label=kind"), "lying_table"),
    "union of images": (
        ("source=noon", "target=dusk+noon", "target.domains.noon.name=evening", "target.domains.noon.shift=0.3"),
        "lying_union",
    ),
    "union of texts": (
        ("source=murmur", "target=chatter+murmur", "target.domains.murmur.seed=1", *TEXT),
        "lying_union",
    ),
}
#: Strategies of several families, and a number of visible labels for each.
SOME = [("dann", 0), ("target_only", 2)]
MORE = [("source_only", 0), ("pseudo_label", 2), ("mme", 2), ("logistic", 2)]
#: What texts cannot do; `test_text_runs` has the messages.
NO_TEXTS = {"adamatch", "bi_tuning", "fixmatch", "adabn", "bn_adapt", "dsbn", "stoch_norm"}


@pytest.fixture
def compared(setting, tiny, tmp_path):  # noqa: F811
    """Return a function that runs a strategy twice, also with wrong hidden labels, and compares what training made."""

    def compare(kind, strategy, budget):
        domains, liar = KINDS[kind]
        if kind == "images of a table":
            domains = (*domains, f"target.file={write_table(tmp_path)}")
        overrides = [*setting(strategy, budget, *domains), "logger=csv", "trainer.max_epochs=2"]
        labels = next(each for each in overrides if each.startswith("target_labels=")).partition("=")[2]
        wrong = [f"target._target_=wrong_labels.{liar}", f"target.budget={labels}"]
        honest = tiny(*overrides, folder="honest")
        garbage = tiny(*overrides, *wrong, folder="garbage")
        assert garbage.data["target"]["fingerprint"] != honest.data["target"]["fingerprint"]
        assert garbage.results["target"]["correct"] != honest.results["target"]["correct"]
        names = {path.name for path in (tmp_path / "honest").rglob("*.ckpt")}
        for name in names:
            assert not differences(content(tmp_path / "garbage", name), content(tmp_path / "honest", name))
        assert not differences(without_oracle(garbage.epochs), without_oracle(honest.epochs))
        assert garbage.selection == honest.selection
        assert logged(tmp_path / "garbage") == logged(tmp_path / "honest")

    return compare


def write_table(folder):
    """Write the images of `dusk` as files, and a table that lists them."""
    lines = ["path,kind"]
    for split, part in dusk("dusk", shift=0.5).splits.items():
        labels = part.labels.open("to write").tolist()
        for number, (image, label) in enumerate(zip(part.inputs.tensor, labels, strict=True)):
            name = f"{split}-{number}.png"
            Image.fromarray(image[0].numpy()).save(folder / name)
            lines.append(f"{name},{CLASSES[label]}")
    (folder / "scans.csv").write_text("\n".join(lines) + "\n")
    return folder / "scans.csv"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("strategy", "budget"), [*SOME, *(pytest.param(*each, marks=pytest.mark.slow) for each in MORE)]
)
def test_hidden_labels_change_only_the_final_test(kind, strategy, budget, compared):
    pytest.importorskip("transformers" if "texts" in kind else "polars")
    compared(kind, strategy, budget)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", sorted({*STRATEGIES} - {name for name, _ in SOME + MORE} - NO_TEXTS))
def test_hidden_labels_of_texts_change_only_the_final_test(strategy, compared):
    pytest.importorskip("transformers")
    compared("texts", strategy, "fewest")
