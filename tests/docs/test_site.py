"""The site has every page, every strategy, and examples that work. `make docs` builds it, with warnings as errors."""

import re
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml

from landbridge import losses, selection, statistics, tuning
from landbridge.backbones.backbone import Backbone
from landbridge.data.domain import Domain
from landbridge.selection import Evidence, Rule

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
METHODS = sorted((DOCS / "methods").glob("*.md"))
DIRECTIVE = re.compile(r"^::: (\S+)\n(?:    options:\n      heading: (.+)\n)?", re.MULTILINE)
SHOWN = [directive for page in METHODS for directive in DIRECTIVE.findall(page.read_text())]


def strategies():
    """Names of the strategies in the configuration, by class."""
    names: dict[str, list[str]] = {}
    for path in sorted((ROOT / "conf" / "strategy").glob("*.yaml")):
        node = yaml.safe_load(path.read_text())
        names.setdefault((node.get("strategy") or node)["_target_"], []).append(path.stem)
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
    assert headings == {path: set(names) for path, names in strategies().items()}


def test_nothing_is_shown_twice():
    assert [path for path, count in Counter(path for path, _ in SHOWN).items() if count > 1] == []


@pytest.mark.parametrize("module", [losses, selection, statistics, tuning], ids=lambda module: module.__name__)
def test_all_that_a_module_offers_is_shown(module):
    helpers = {"accuracy", "RULES", "merge_lora", "restore_adapters"}
    shown = {path.rpartition(".")[2] for path, _ in SHOWN if path.rpartition(".")[0] == module.__name__}
    assert shown == set(module.__all__) - helpers


@pytest.fixture(scope="module")
def examples():
    """What the examples of the page on extending define, by name."""
    defined: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```", (DOCS / "extending.md").read_text(), re.MULTILINE | re.DOTALL):
        exec(block, defined)
    return defined


def test_the_example_of_a_domain_works(examples):
    domain = examples["shapes"]()
    assert isinstance(domain, Domain)
    assert {name: len(split.inputs) for name, split in domain.splits.items()} == {"train": 420, "val": 60, "test": 120}


def test_the_example_of_a_backbone_works(examples):
    backbone = examples["TwoStages"]()
    assert isinstance(backbone, Backbone)
    assert backbone.stages == ("conv", "project")
    assert backbone(torch.zeros(3, 1, 28, 28)).shape == (3, backbone.features)


def test_the_example_of_a_selection_rule_works(examples):
    rule = examples["Confidence"]()
    assert isinstance(rule, Rule)
    logits = torch.tensor([[0.0, 0.0], [0.0, 100.0]])
    evidence = Evidence(0, {"target": logits}, {"target": logits}, {})
    assert rule.score(evidence) == pytest.approx(0.75)
