"""`check` reports every mistake of a configuration with its path, and accepts valid configurations."""

import copy
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, TypeVar

import pytest
import pytorch_lightning
import torch
from annotated_types import Ge, Gt, Interval, Lt, MinLen
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

import landbridge.config.check
from landbridge.config.check import check
from landbridge.config.slots import SLOTS, Slot
from landbridge.config.values import UNKNOWN, StandIn, faults
from landbridge.errors import LandbridgeError, nearest

HERE = __name__


class Method(ABC):
    def __init__(self, network: torch.nn.Module, decay: Annotated[float, Ge(0), Lt(1)] = 0.0) -> None:
        self.network, self.decay = network, decay

    @abstractmethod
    def loss(self) -> float: ...


class Critic:
    def __init__(self, hidden: int, activation: torch.nn.Module | None = None, **options: Any) -> None: ...


class Adversarial(Method):
    def __init__(
        self,
        critic: Critic,
        weight: Annotated[float, Gt(0)] = 1.0,
        mode: Literal["source", "target"] = "source",
        sizes: Sequence[int] = (),
        parts: Mapping[str, Critic] | None = None,
        stages: list[Critic] | None = None,
        table: dict[str, float] | None = None,
        maker: Callable[..., torch.optim.Optimizer] | None = None,
        flag: bool = False,
        loose: dict[str, Any] | None = None,
        old_style: int = None,  # type: ignore[assignment]  # noqa: RUF013
        unresolvable: "NotImportedHere" = 0,  # type: ignore[name-defined]  # noqa: F821
        **base: Any,
    ) -> None: ...

    def loss(self) -> float:
        return 0.0


class Fixed(Adversarial):
    def __init__(self, critic: Critic, **base: Any) -> None:
        super().__init__(critic, mode="target", **base)


def make_word() -> str:
    raise AssertionError("check builds optimizers only")


def make_method(depth: int = 0) -> "Adversarial":
    raise AssertionError("check builds optimizers only, and no method")


def make_anything(depth: int = 0):
    raise AssertionError("check builds no target that is refused")


@pytest.fixture(scope="module", autouse=True)
def toy_slots():
    toy = {"method": Slot(f"{HERE}.Method", frozenset({"network"}))}
    toy |= {name: SLOTS[name] for name in ("optimizer", "trainer", "logger")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(landbridge.config.check, "SLOTS", toy)
        yield


def valid() -> dict[str, Any]:
    return {
        "name": "experiment one",
        "seed": 0,
        "target_labels": "all",
        "label_sets": "same",
        "transductive": False,
        "checkpoint_every": 5,
        "method": {
            "_target_": f"{HERE}.Adversarial",
            "critic": {
                "_target_": f"{HERE}.Critic",
                "hidden": 8,
                "activation": {"_target_": "torch.nn.ELU", "alpha": 2, "inplace": True},
            },
            "weight": 0.5,
            "mode": "target",
            "sizes": [1, 2],
            "parts": {"first": {"_target_": f"{HERE}.Critic", "hidden": 4}},
            "stages": [{"_target_": f"{HERE}.Critic", "hidden": 2}],
            "table": {"cat": 1, "dog": 0.5},
            "maker": {"_target_": "torch.optim.SGD", "_partial_": True, "momentum": 0.9},
            "flag": True,
            "decay": 0.1,
        },
        "optimizer": {"_target_": "torch.optim.Adam", "lr": 1e-3, "betas": [0.9, 0.99], "amsgrad": False},
        "trainer": {"_target_": "pytorch_lightning.Trainer", "max_epochs": 2, "accelerator": "cpu"},
        "logger": {"_target_": "pytorch_lightning.loggers.WandbLogger", "project": "p", "offline": True, "group": "g"},
    }


def problems(config: dict[str, Any]) -> dict[str, str]:
    """Return the reported problems by path."""
    try:
        check(OmegaConf.create(config))
    except LandbridgeError as error:
        title, *lines = str(error).splitlines()
        assert title.startswith(f"{len(lines)} problem")
        found = dict(re.fullmatch(r"  (\S+) {3,}(\S.*)", line).groups() for line in lines)  # type: ignore[union-attr]
        assert len(found) == len(lines)
        return found
    return {}


def parent_of(config: dict[str, Any], path: str) -> tuple[Any, Any]:
    """Return the node that holds the value at a path such as `a.b[0]`, and the last key or index of the path."""
    *parents, last = [int(step) if step.isdigit() else step for step in re.findall(r"\w+", path)]
    node: Any = config
    for step in parents:
        node = node[step]
    return node, last


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the valid configuration with one value set."""
    config = valid()
    node, key = parent_of(config, path)
    node[key] = value
    return config


def without(path: str) -> dict[str, Any]:
    config = valid()
    node, key = parent_of(config, path)
    del node[key]
    return config


def test_a_valid_configuration_passes():
    assert problems(valid()) == {}


def test_all_problems_are_reported_in_one_aligned_message():
    config = valid()
    config["method"]["wieght"] = config["method"].pop("weight")
    config["seed"] = "abc"
    config["trainer"]["max_epoch"] = config["trainer"].pop("max_epochs")
    with pytest.raises(LandbridgeError) as error:
        check(OmegaConf.create(config))
    assert str(error.value) == (
        "3 problems in the configuration\n"
        "  method.wieght       Adversarial has no such setting; nearest: weight\n"
        "  seed                'abc' is not an integer >= 0 and < 4294967296\n"
        "  trainer.max_epoch   Trainer has no such setting; nearest: max_epochs"
    )


def test_the_configuration_is_not_modified():
    config = changed("name", "${seed}")
    config["method"]["weight"] = "${method.decay}"
    cfg = OmegaConf.create(copy.deepcopy(config))
    OmegaConf.set_readonly(cfg, True)
    OmegaConf.set_struct(cfg, True)
    with pytest.raises(LandbridgeError):
        check(cfg)
    assert OmegaConf.to_container(cfg) == config


# ---- the root


def test_an_unknown_root_key_is_reported():
    assert problems(valid() | {"sede": 3}) == {"sede": "landbridge has no such setting; nearest: seed"}


@pytest.mark.parametrize("name", ["seed", "target_labels", "method", "trainer"])
def test_a_missing_root_entry_is_reported(name: str):
    assert problems(without(name)) == {name: "is missing: landbridge needs it"}


def test_an_experiment_without_its_package_line_is_explained():
    found = problems(valid() | {"experiment": {"seed": 7}})
    assert found == {"experiment": "an experiment file's first line must be `# @package _global_`"}


def test_only_some_slots_may_be_null():
    assert problems(valid() | {"logger": None}) == {}
    assert problems(without("logger")) == {}
    assert "method=..." in problems(valid() | {"method": None})["method"]


@pytest.mark.parametrize("value", ["dann", 3, [1], {"weight": 1}])
def test_a_slot_must_be_a_node(value: Any):
    found = problems(valid() | {"method": value})
    assert found.keys() == {"method"}
    assert "override /method" in found["method"]


@pytest.mark.parametrize("value", [0, 5, "all"])
def test_valid_facts_are_accepted(value: Any):
    assert problems(changed("target_labels", value)) == {}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "name",
            "../..",
            "'../..' is not a valid folder name: start with a letter or digit, then use letters, digits, spaces "
            "and _ . + = -",
        ),
        ("seed", -1, "-1 is not an integer >= 0 and < 4294967296"),
        ("seed", True, "True is not an integer >= 0 and < 4294967296"),
        ("seed", "3", "'3' is not an integer >= 0 and < 4294967296"),
        ("target_labels", "al", "'al' is not an integer >= 0 or 'all'; nearest: 'all'"),
        ("target_labels", 1.5, "1.5 is not an integer >= 0 or 'all'"),
        ("name", 3, "3 is not text"),
    ],
)
def test_invalid_facts_are_reported(path: str, value: Any, message: str):
    assert problems(changed(path, value)) == {path: message}


# ---- targets


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("torch.optim.Adamm", "torch.optim has no 'Adamm'; nearest: Adam"),
        ("torch.optm.Adam", "torch has no 'optm'; nearest: optim"),
        ("troch.optim.Adam", "there is no package 'troch'; nearest: torch"),
        ("landbridge.conifg.X", "landbridge has no 'conifg'; nearest: config"),
        ("torch.optim.Adam.stepp", "torch.optim.Adam has no 'stepp'; nearest: step"),
        ("torch.optim", "torch.optim is neither a class nor a function annotated with the class it returns"),
        ("os.system", "os.system is neither a class nor a function annotated with the class it returns"),
        ("subprocess.Popen", "subprocess.Popen is not an Optimizer, nor annotated as returning one"),
        ("torch.nn.Linear", "torch.nn.Linear is not an Optimizer, nor annotated as returning one"),
        ("", "the import of  fails with ValueError: Empty module name"),
        (3, "3 is not a dotted name"),
    ],
)
def test_invalid_targets_are_refused(target: Any, message: str):
    found = problems(valid() | {"optimizer": {"_target_": target, "anything": 1}})
    assert found == {"optimizer._target_": " ".join(message.split())}


def test_a_function_is_accepted_by_its_return_annotation():
    assert problems(valid() | {"method": {"_target_": f"{HERE}.make_method", "depth": 2}}) == {}
    found = problems(valid() | {"method": {"_target_": f"{HERE}.make_method", "dept": 2}})
    assert found == {"method.dept": "make_method has no such setting; nearest: depth"}
    assert problems(valid() | {"method": {"_target_": f"{HERE}.make_anything"}}).keys() == {"method._target_"}


def test_a_node_may_make_a_plain_value():
    word = {"_target_": f"{HERE}.make_word"}
    assert problems(changed("trainer.accelerator", word)) == {}
    assert problems(changed("method.weight", word)) == {"method.weight": f"{HERE}.make_word is not a number > 0"}


def test_an_abstract_class_is_refused():
    assert "abstract" in problems(valid() | {"method": {"_target_": f"{HERE}.Method"}})["method._target_"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import notthere", "ModuleNotFoundError: No module named 'notthere'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def f(:", "SyntaxError: invalid syntax"),
    ],
)
def test_a_failed_import_is_reported_with_its_cause(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "broken_toy.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    found = problems(changed("method._target_", "broken_toy.Method"))
    assert found["method._target_"].startswith(f"the import of broken_toy fails with {message}")


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "torch.nn.Linear"])
@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize(
    "place", ["critic", "parts.new", "stages[0]", "loose", "loose.a[0].b", "unresolvable", "critic.option", "maker"]
)
def test_a_target_of_another_type_is_refused_everywhere_inside_a_node(target: str, partial: bool, place: str):
    config = valid()
    config["method"]["loose"] = {"a": [{"b": 1}]}
    node, key = parent_of(config["method"], place)
    node[key] = {"_target_": target, "_partial_": partial}
    found = problems(config)
    assert found
    assert all(path.startswith(f"method.{place}") for path in found)


def test_inner_nodes_are_compared_with_the_annotations():
    linear = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 1}
    config = valid()
    config["method"] |= {
        "critic": linear,
        "parts": {"a": linear},
        "stages": [linear],
        "maker": linear | {"_partial_": True},
    }
    assert problems(config) == {
        "method.critic": "torch.nn.Linear is not a Critic",
        "method.parts.a": "torch.nn.Linear is not a Critic",
        "method.stages[0]": "torch.nn.Linear is not a Critic",
        "method.maker": "partial torch.nn.Linear is not a function returning an Optimizer",
    }
    assert problems(changed("method.critic._partial_", True)) == {
        "method.critic": f"partial {HERE}.Critic is not a Critic"
    }


# ---- names


def test_settings_of_base_classes_are_accepted():
    assert problems(changed("method.decay", 0.5)) == {}
    found = problems(changed("method.dekay", 0.5))
    assert found == {"method.dekay": "Adversarial has no such setting; nearest: decay"}


def test_an_argument_that_a_constructor_passes_to_its_base_is_no_setting():
    method = {"_target_": f"{HERE}.Fixed", "critic": valid()["method"]["critic"], "decay": 0.5}
    assert problems(valid() | {"method": method}) == {}
    found = problems(valid() | {"method": method | {"mode": "source"}})
    assert found == {"method.mode": "Fixed has no such setting"}
    assert problems(valid() | {"method": {"_target_": f"{HERE}.Fixed"}}).keys() == {"method.critic"}


@pytest.mark.parametrize("kind", ["CSVLogger", "TensorBoardLogger", "WandbLogger"])
def test_lightnings_loggers_need_no_further_settings(kind: str):
    assert problems(valid() | {"logger": {"_target_": f"pytorch_lightning.loggers.{kind}", "name": "a"}}) == {}


def test_an_argument_that_a_run_supplies_must_not_be_set():
    found = problems(changed("trainer.default_root_dir", "x") | {"optimizer": valid()["optimizer"] | {"params": []}})
    assert found == {"trainer.default_root_dir": "is set by landbridge", "optimizer.params": "is set by landbridge"}


def test_required_settings_must_be_set_unless_the_node_is_partial():
    assert problems(without("method.critic")) == {"method.critic": "is missing: Adversarial needs it"}
    assert problems(without("method.critic.hidden")) == {"method.critic.hidden": "is missing: Critic needs it"}
    assert problems(without("method.parts.first.hidden")).keys() == {"method.parts.first.hidden"}
    config = without("method.critic")
    config["method"]["_partial_"] = True
    assert problems(config) == {}


def test_partial_nodes_are_checked_like_others():
    found = problems(changed("method.maker.momentun", 0.5))
    assert found == {"method.maker.momentun": "SGD has no such setting; nearest: momentum"}


def test_an_open_signature_accepts_unknown_names_except_near_misses():
    assert problems(changed("logger.tags", ["a"])) == {}
    found = problems(changed("logger.projct", "p"))
    assert found == {"logger.projct": "WandbLogger has no such setting; nearest: project"}


def test_a_name_without_a_similar_one_is_reported_with_all_valid_names():
    found = problems(valid() | {"method": {"_target_": f"{HERE}.make_method", "zzz": 2}})
    assert found == {"method.zzz": "make_method has no such setting; valid: depth"}


@pytest.mark.parametrize(
    ("key", "value"), [("_partial_", "yes"), ("_convert_", "al"), ("_recursive_", 1), ("_args_", [1])]
)
def test_hydras_own_keys_are_checked(key: str, value: Any):
    assert problems(changed(f"trainer.{key}", value)).keys() == {f"trainer.{key}"}
    right = {"_partial_": True, "_convert_": "all", "_recursive_": True}
    assert problems(valid() | {"trainer": valid()["trainer"] | right}) == {}


# ---- values


@pytest.mark.parametrize(
    ("path", "value", "place", "message"),
    [
        ("method.weight", -1, "", "-1 is not a number > 0"),
        ("method.weight", "abc", "", "'abc' is not a number > 0"),
        ("method.decay", 1, "", "1 is not a number >= 0 and < 1"),
        ("method.mode", "sorce", "", "'sorce' is not one of 'source', 'target'; nearest: 'source'"),
        ("method.sizes", [1, "x", 2, 2.5], "[1]", "'x' is not an integer"),
        ("method.sizes", [1, "x", 2, 2.5], "[3]", "2.5 is not an integer"),
        ("method.sizes", "12", "", "'12' is not a list"),
        ("method.table", {"cat": "much"}, ".cat", "'much' is not a number"),
        ("method.table", [1], "", "[1] is not a mapping"),
        ("method.critic", {"hidden": 2}, "", "{'hidden': 2} is not a Critic"),
        ("method.critic.hidden", None, "", "None is not an integer"),
        ("method.critic.activation.alpha", "1", "", "'1' is not a number"),
        ("method.stages", [{"_target_": f"{HERE}.Critic", "hidden": True}], "[0].hidden", "True is not an integer"),
        ("method.flag", 1, "", "1 is not true or false"),
        ("optimizer.betas", [0.9], "", "[0.9] is not a list of 2"),
        ("optimizer.betas", [0.9, "x"], "[1]", "'x' is not a number or a Tensor"),
        ("trainer.max_epochs", 1.5, "", "1.5 is not an integer <= 1000000"),
        ("logger.log_model", "al", "", "'al' is not true or false or 'all'; nearest: 'all'"),
        ("logger.offline", "no", "", "'no' is not true or false"),
    ],
)
def test_invalid_values_are_reported(path: str, value: Any, place: str, message: str):
    assert problems(changed(path, value))[path + place] == message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("method.weight", 2),
        ("method.old_style", None),
        ("method.unresolvable", "whatever"),
        ("method.loose", {"a": [1, {"b": None}]}),
        ("method.sizes", []),
        ("method.table", None),
        ("method.critic.option", [1, "x"]),
        ("trainer.precision", "bf16-mixed"),
        ("trainer.devices", [0, 1]),
        ("trainer.devices", "auto"),
        ("trainer.plugins", []),
        ("optimizer.lr", 1),
    ],
)
def test_valid_values_are_accepted(path: str, value: Any):
    assert problems(changed(path, value)) == {}


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (int, [0, -3], [True, 1.0, "1", None, [1]]),
        (float, [1, 2.5], [True, "1.0", None, float("inf"), float("nan")]),
        (bool, [True], [1, "true", None]),
        (str, ["", "a"], [1, True, None, ["a"]]),
        (Literal[1, 2], [1], [True, "1", 3]),
        (Literal["a"] | None, ["a", None], ["b"]),
        (Optional[int], [1, None], ["1"]),  # noqa: UP045
        (Annotated[int, Interval(ge=0, lt=3)] | Literal["all"], [0, 2, "all"], [3, -1, "al"]),
        (Annotated[list[int], MinLen(1)], [[1]], [[], ["a"]]),
        (tuple[int, ...], [[1, 2], []], [["a"], 1]),
        (tuple[int, str], [[1, "a"]], [["a", 1], [1], [1, "a", 2]]),
        (list[tuple[int, int]] | int, [[[1, 2]], 3], [[[1, 2, 3]], [[1, "2"]]]),
        (set[str], [["a"]], [[1]]),
        (dict[str, list[int]], [{"a": [1]}, {}], [{"a": [None]}, {"a": 1}]),
        (Mapping[int, str], [{1: "a"}], [{"x": "a"}, {1: 2}]),
        (Path, ["a/b"], [3]),
        (str | Path, ["a/b"], [3]),
        (torch.Tensor, [], [1, "a", [1.0]]),
        (Callable[[int], int], [], ["f", 1]),
        (
            Any,
            [1, "a", None, [1], {"a": 1}, [UNKNOWN]],
            [StandIn(Critic, "critic"), [{"a": StandIn(Critic, "critic")}]],
        ),
        (TypeVar("T"), [1, "a"], [StandIn(Critic, "critic")]),
        (Critic, [StandIn(Critic, "critic"), UNKNOWN], [StandIn(Critic, "critic", partial=True), {}, None]),
        (Callable[..., Critic], [StandIn(Critic, "critic", partial=True)], [StandIn(Method, "method", partial=True)]),
    ],
)
def test_faults_finds_the_values_that_do_not_fit_a_type(hint: Any, right: list[Any], wrong: list[Any]):
    for value in right:
        assert faults(value, hint) == [], value
    for value in wrong:
        assert faults(value, hint), value


# ---- interpolations


def test_interpolations_are_resolved_before_they_are_checked():
    assert problems(changed("method.weight", "${method.decay}")) == {}
    assert problems(changed("method.critic", "${method.parts.first}")) == {}
    assert problems(changed("method.weight", "${name}")) == {"method.weight": "'experiment one' is not a number > 0"}


@pytest.mark.parametrize("value", ["${nope.x}", "${nope:1}", "${oc.env:LANDBRIDGE_NOT_SET}", "???"])
@pytest.mark.parametrize(
    "path",
    [
        "seed",
        "method",
        "method._target_",
        "method.weight",
        "method.critic.hidden",
        "method.table.cat",
        "method.sizes[1]",
    ],
)
def test_a_value_that_cannot_be_resolved_is_reported_once_with_its_path(path: str, value: str):
    found = problems(changed(path, value))
    assert found.keys() == {path}
    assert ("'???'" if value == "???" else "cannot be resolved: ") in found[path]


# ---- optimizers


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"_target_": "torch.optim.Adam", "lr": -1}, "Invalid learning rate: -1"),
        ({"_target_": "torch.optim.Adam", "betas": [0.9, 1.5]}, "Invalid beta parameter at index 1: 1.5"),
        ({"_target_": "torch.optim.SGD", "nesterov": True}, "Nesterov momentum requires a momentum"),
        ({"_target_": "torch.optim.Adam", "fused": True, "foreach": True}, "cannot be `True` together"),
    ],
)
@pytest.mark.parametrize("partial", [{}, {"_partial_": True}])
def test_invalid_settings_of_an_optimizer_are_reported(settings: dict[str, Any], message: str, partial: dict[str, Any]):
    found = problems(valid() | {"optimizer": settings | partial})
    assert found.keys() == {"optimizer"}
    assert message in found["optimizer"]


def test_an_optimizer_with_another_problem_is_not_built():
    found = problems(valid() | {"optimizer": {"_target_": "torch.optim.Adam", "lr": -1, "epss": 1}})
    assert found.keys() == {"optimizer.epss"}


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer
    ],
)
def test_the_defaults_of_torchs_optimizers_are_accepted(name: str):
    assert problems(valid() | {"optimizer": {"_target_": f"torch.optim.{name}"}}) == {}


# ---- any mistake, anywhere

# Paths whose keys are free: keys of mappings, and an open signature. A typo in such a key gives another valid key.
FREE = re.compile(r"method\.(table|parts)\.\w+|logger\.\w+")
LETTERS = "abcdefghijklmnopqrstuvwxyz_"
NAMES = {
    name
    for function in (
        Method,
        Critic,
        Adversarial,
        torch.optim.Adam,
        torch.optim.SGD,
        torch.nn.ELU,
        pytorch_lightning.Trainer,
    )
    for name in inspect.signature(function).parameters
} | valid().keys()


def paths(node: Any, path: str = "") -> dict[str, Any]:
    """Return all values by their paths."""
    if isinstance(node, dict):
        items = {f"{path}.{key}".lstrip("."): value for key, value in node.items()}
    else:
        items = {f"{path}[{i}]": value for i, value in enumerate(node)} if isinstance(node, list) else {}
    return items | {key: value for where, item in items.items() for key, value in paths(item, where).items()}


PATHS = paths(valid())


@st.composite
def typos(draw: st.DrawFn, name: str) -> str:
    """Drop, double, swap or replace a letter."""
    at = draw(st.integers(0, len(name) - 1))
    before, letter, after = name[:at], name[at], name[at + 1 :]
    new = draw(st.sampled_from(LETTERS))
    return draw(
        st.sampled_from(
            [before + after, before + 2 * letter + after, before + after[:1] + letter + after[1:], before + new + after]
        )
    )


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_typo_in_any_key_is_reported_with_its_path(data: st.DataObject):
    path = data.draw(st.sampled_from([path for path in PATHS if not path.endswith("]") and not FREE.fullmatch(path)]))
    config = valid()
    node, key = parent_of(config, path)
    typo = data.draw(typos(key))
    assume(typo not in NAMES | {key, ""})
    node[typo] = node.pop(key)
    assert path.removesuffix(key) + typo in problems(config)


# Settings that accept null. The last one is passed to wandb without a check.
NULLABLE = {"trainer.max_epochs", "logger.project", "logger.group"}
# Invalid values for each type of a valid value.
WRONG: dict[type, st.SearchStrategy[Any]] = {
    bool: st.one_of(st.integers(), st.text(), st.floats(allow_nan=False), st.none(), st.lists(st.booleans())),
    int: st.one_of(st.booleans(), st.text("0123456789xyz"), st.none(), st.lists(st.integers())),
    float: st.one_of(st.booleans(), st.text("0123456789.e"), st.none(), st.lists(st.floats(allow_nan=False))),
    str: st.one_of(st.booleans(), st.floats(allow_nan=False), st.dictionaries(st.text("ab"), st.integers())),
}


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_value_of_a_wrong_type_is_reported_with_its_path(data: st.DataObject):
    path = data.draw(st.sampled_from([path for path in PATHS if path not in NULLABLE]))
    right = PATHS[path]
    wrong = data.draw(WRONG.get(type(right), st.sampled_from(["x", 1, True])))
    assert path in problems(changed(path, wrong))


# ---- nearest


@given(st.lists(st.text("abc", min_size=1), min_size=1, unique=True), st.data())
def test_a_name_is_nearest_to_itself(options: list[str], data: st.DataObject):
    name = data.draw(st.sampled_from(options))
    assert nearest(name, options) == name


def test_nearest_returns_the_most_similar_name_or_none():
    assert nearest("wieght", ["height", "weight", "width"]) == "weight"
    assert nearest("sgd", ["Adam", "SGD"]) == "SGD"
    assert nearest("Adm", ["adam", "Adam"]) == "Adam"
    assert nearest("zzz", ["Adam", "SGD"]) is None
    assert nearest("x", []) is None
