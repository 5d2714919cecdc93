"""The site has every page and every strategy, and its examples work. `make docs` builds it, with warnings as errors."""

import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
import torch
import yaml

from landbridge import losses, selection, statistics, strategies
from landbridge.data.domain import Domain
from landbridge.models import tuning
from landbridge.models.backbones.backbone import Backbone
from landbridge.selection import Rule, ValidationOutputs
from landbridge.strategies import terms
from landbridge.strategies.terms import TERMS
from landbridge.tasks import Classification

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
METHODS = sorted((DOCS / "methods").glob("*.md"))
DIRECTIVE = re.compile(r"^::: (\S+)\n(?:    options:\n      heading: (.+)\n)?", re.MULTILINE)
#: Enough training for a relation that is a straight line.
LONGER = ("trainer.max_epochs=4", "data.steps_per_epoch=30", "optimizer=adam")
#: Strategies that become another method if a file adds a term to them.
CARRIERS = {f"landbridge.strategies.{name}" for name in ("Supervised", "TargetOnly", "DANN")}
SHOWN = [directive for page in METHODS for directive in DIRECTIVE.findall(page.read_text())]


def methods():
    """Return the names of the configured strategies, by the class that describes them.

    If a file adds a term to a strategy, this is the class of the term.
    """
    names: dict[str, list[str]] = {}
    for path in sorted((ROOT / "conf" / "strategy").glob("*.yaml")):
        content = yaml.safe_load(path.read_text())
        node = content.get("strategy") or content
        described = node["_target_"]
        if node.get("terms"):
            assert described in CARRIERS, f"{path.name} adds terms to a strategy with equations of its own"
            (term,) = node["terms"]
            described = f"{terms.__name__}.{TERMS[term].__name__}"
        names.setdefault(described, []).append(path.stem)
    return names


def leaves(node):
    if isinstance(node, str):
        return [node]
    return [leaf for each in (node.values() if isinstance(node, dict) else node) for leaf in leaves(each)]


def test_the_navigation_has_every_page_once():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(leaves(nav)) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_every_strategy_is_on_one_page_under_its_names():
    headings = {path: set(names.split(", ")) for path, names in SHOWN if names}
    assert headings == {path: set(names) for path, names in methods().items()}


def test_no_object_is_shown_twice():
    assert [path for path, count in Counter(path for path, _ in SHOWN).items() if count > 1] == []


@pytest.mark.parametrize("module", [losses, selection, statistics, tuning], ids=lambda module: module.__name__)
def test_every_public_object_of_a_module_is_shown(module):
    helpers = {"accuracy", "LEAST_SEEDS", "RULES", "merge_lora", "restore_adapters"}
    shown = {path.rpartition(".")[2] for path, _ in SHOWN if path.rpartition(".")[0] == module.__name__}
    assert shown == set(module.__all__) - helpers


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (terms, {"Term", *(term.__name__ for term in TERMS.values())}),
        (strategies, set(strategies.__all__) - {"Output"}),
    ],
    ids=["terms", "strategies"],
)
def test_every_term_and_every_strategy_is_shown(module, names):
    assert {path.rpartition(".")[2] for path, _ in SHOWN if path.rpartition(".")[0] == module.__name__} == names


@pytest.fixture(scope="module")
def examples():
    """Return the objects that the examples in docs/extending.md define, by name."""
    defined: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", (DOCS / "extending.md").read_text(), re.MULTILINE | re.DOTALL):
        exec(block, defined)
    return defined


def test_the_example_of_a_domain_works(examples):
    domain = examples["shapes"]()
    assert isinstance(domain, Domain)
    assert {name: len(split.inputs) for name, split in domain.splits.items()} == {"train": 420, "val": 60, "test": 120}


def test_the_example_of_a_task_trains(tiny, tmp_path, monkeypatch):
    (tmp_path / "my_package").mkdir()
    code = re.search(
        r"^`my_package/robust.py`\n\n```python\n(.*?)^```", (DOCS / "extending.md").read_text(), re.M | re.S
    )
    assert code
    (tmp_path / "my_package" / "robust.py").write_text(code[1])
    monkeypatch.syspath_prepend(tmp_path)
    domain = ("target._target_=my_package.robust.rents", "~target.name", "~target.shift", "+target.outliers=0.0")
    record = tiny(*domain, "source=null", "backbone=mlp", "strategy=fine_tune", "target_labels=all", *LONGER)
    assert record.results["target"]["r2"] > 0.5

    # An error of 3 standard deviations counts as 2.5, and one of 0.1 as 0.005.
    task = import_module("my_package.robust").Robust(("rent",))
    losses = task.losses(torch.tensor([[30.0], [1.0]]), torch.zeros(2, 1), torch.tensor([10.0]))
    assert losses.tolist() == pytest.approx([2.5, 0.005])


def test_the_example_of_a_backbone_works(examples):
    backbone = examples["TwoStages"]()
    assert isinstance(backbone, Backbone)
    assert backbone.stages == ("conv", "project")
    assert backbone(torch.zeros(3, 1, 28, 28)).shape == (3, backbone.features)


def test_the_example_of_a_selection_rule_works(examples):
    rule = examples["Confidence"]()
    assert isinstance(rule, Rule)
    logits = torch.tensor([[0.0, 0.0], [0.0, 100.0]])
    outputs = ValidationOutputs(0, {"target": logits}, {"target": logits}, {}, Classification(("a", "b")))
    assert rule.score(outputs) == pytest.approx(0.75)
