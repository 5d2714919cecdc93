"""One odd record never ends a report: it is used, or it is named and left out, whatever is odd about it."""

import copy
import json
import random
import shutil
from dataclasses import asdict

import pytest
from made_records import CLASSIFICATION, made, write

from landbridge.record import RECORD
from landbridge.report.collect import collect
from landbridge.report.page import make

ODD = (None, "abc", "", -1, 0, 1.5, 10**30, float("nan"), float("inf"), True, [], [1], ["a"], {}, {"a": 1}, {"a": None})
GONE = object()


def record(strategy, seed, accuracy):
    rules = {"im": [0.1, 0.3, 0.2]}
    made_one = made(strategy, accuracy, seed, rules=rules, optimizer__lr=0.1)
    for role, result in made_one.results.items():
        result["subgroups"] = {
            "hospital": {name: {"n": 30, "accuracy": 0.5, "low": 0.4, "high": 0.6} for name in ("north", "south")}
        }
        result["accuracy_by_class"] = {"bar": 0.5, "beam": 0.1}
        made_one.data[role]["task"] = copy.deepcopy(CLASSIFICATION)
    made_one.cost |= {"phases": {"train": 3.0}, "cache": {"depth": 1, "bytes": 5}}
    made_one.seal = {"target test": ["test"]}
    made_one.epochs[0]["alpha"] = 0.5
    return made_one


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    records = [
        record(strategy, seed, accuracy + 0.01 * seed)
        for strategy, accuracy in (("source_only", 0.4), ("dann", 0.6))
        for seed in (0, 1, 2)
    ]
    return write(tmp_path_factory.mktemp("odd"), records, outputs=True)


def places(node, at=()):
    """Return the path of every node inside a record."""
    yield at
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield from places(value, (*at, key))


def changed(content, at, value):
    """Return a copy in which one node has another value, or is missing."""
    if not at:
        return value
    content = copy.deepcopy(content)
    node = content
    for key in at[:-1]:
        node = node[key]
    if value is GONE:
        del node[at[-1]]
    else:
        node[at[-1]] = value
    return content


def changes():
    whole = json.loads(json.dumps(asdict(record("dann", 1, 0.61))))
    return [(at, value) for at in places(whole) for value in (*ODD, *([GONE] if at else []))]


def odd_folder(folder, to, chosen):
    """Copy the sound runs, and write one further run for each change. The runs differ in their seeds."""
    shutil.copytree(folder, to)
    source = to / "4"
    whole = json.loads((source / RECORD).read_text())
    for number, (at, value) in enumerate(chosen):
        place = to / f"odd{number}"
        shutil.copytree(source, place)
        own = copy.deepcopy(whole) | {"fingerprint": f"{number:032}"}
        own["config"]["seed"] = 1000 + number
        (place / RECORD).write_text(json.dumps(changed(own, at, value)))
    return to


def fault_of(folder, to, chosen):
    """Make one report of many odd records, and return what is wrong with it; empty if nothing is."""
    place = odd_folder(folder, to, chosen)
    try:
        found = collect([place])
        report = make(found, "odd")
        page = report.html() + report.markdown()
        unused = found.damaged + found.left_out
        assert all("\n" not in line and "/odd" in line for line in unused)
        named = [sum(str(place / f"odd{number}" / RECORD) in line for line in unused) for number in range(len(chosen))]
        assert sum(named) == len(unused)
        assert set(named) <= {0, 1}
        assert all(str(place / f"odd{number}" / RECORD) in page for number, there in enumerate(named) if there)
        used = len(found.runs) + len(found.unfinished) + len(found.duplicates)
        assert used + len(unused) == 6 + len(chosen)
    except Exception as error:  # all faults are listed together
        return f"{type(error).__name__}: {error}"[:300]
    finally:
        shutil.rmtree(place)
    return ""


def survives(folder, tmp_path, chosen, together):
    """Make reports of several odd records each. The records of a report that fails are tried one by one."""
    faults = []
    for start in range(0, len(chosen), together):
        part = chosen[start : start + together]
        if together_fault := fault_of(folder, tmp_path / "all", part):
            alone = {each: fault_of(folder, tmp_path / "one", [part[each]]) for each in range(len(part))}
            told = [
                f"{'.'.join(map(str, part[each][0]))} = {part[each][1]!r}: {fault}"
                for each, fault in alone.items()
                if fault
            ]
            faults += told or [f"records {start} to {start + together}, only together: {together_fault}"]
    assert not faults, "\n".join(faults)


def test_odd_entries_do_not_end_a_report(folder, tmp_path):
    survives(folder, tmp_path, random.Random(0).sample(changes(), 30), 30)


@pytest.mark.long
def test_no_odd_entry_ends_a_report(folder, tmp_path):
    every = changes()
    random.Random(1).shuffle(every)  # so that a report has odd entries of many kinds
    survives(folder, tmp_path, every, 100)


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (("epochs",), "three", "epochs: input should be a valid list"),
        (("epochs", 1, "scores"), None, "epochs.1.scores: input should be a valid dictionary"),
        (("data", "target", "task"), {"a": 1}, "data.target.task.kind: field required (2 more)"),
        (("cost",), None, "cost: input should be a valid dictionary"),
        (("results",), GONE, "status is done, but the record lacks results.target"),
        (("results", "target", "correct"), "!", "results.target: correct is not base64"),
        (("selection", "epoch"), 7, "selection.epoch is 7, but there are 3 epochs"),
        (("config", "trainer", "max_epochs"), "5", "config.trainer.max_epochs: input should be a valid integer"),
    ],
)
def test_the_fault_of_an_odd_record_is_named(folder, at, value, said):
    whole = (folder / "4" / RECORD).read_text()
    (folder / "4" / RECORD).write_text(json.dumps(changed(json.loads(whole), at, value)))
    try:
        (line,) = collect([folder]).damaged
    finally:
        (folder / "4" / RECORD).write_text(whole)
    assert said in line
