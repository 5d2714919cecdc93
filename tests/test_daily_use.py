"""Daily use through the real commands: every mistake of a table ends in a sentence, and a run becomes a model."""

import gc
import json
import os
import re
import shlex
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import landbridge
import mistakes
from landbridge.export.__main__ import main as export
from landbridge.predict.__main__ import main as predict
from landbridge.record import Record
from landbridge.report.__main__ import main as report
from landbridge.run.run import run
from places import TESTS, TINY

COMMANDS = {"landbridge-predict": predict, "landbridge-export": export, "landbridge-report": report}
T = f"--config-dir {TESTS}/conf experiment=tiny"
SHORT = {
    "W": "source=null target=uci_digits strategy=target_only target_labels=5 trainer.max_epochs=1",
    "T": T,
    "L": f"{T} strategy=target_only target_labels=2",
    "I": f"{T} source=null target=image_folder strategy=target_only target_labels=all",
}
KINDS = {
    "grammar": mistakes.GRAMMAR,
    "flags": mistakes.FLAGS,
    "libraries": [(f"W {line}", says) for line, says in mistakes.BUILDING],
    "names and files": mistakes.FURTHER,
    "wrong results": mistakes.WRONG_RESULTS,
    "before training": mistakes.BEFORE_TRAINING,
    "data and weights of others": mistakes.FOREIGN,
    "afterwards": mistakes.AFTERWARDS,
}
#: Kinds whose answers are regular expressions.
PATTERNS = ("grammar", "flags", "libraries")
TABLE = [pytest.param(kind, *case, id=f"{kind}: {case[0]}") for kind, cases in KINDS.items() for case in cases]


def photographs(root, folders):
    rng = np.random.default_rng(0)
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for number in range(8):
            pixels = rng.integers(0, 255, (28, 28), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{number}.png")


def files(folder):
    """Return all paths below a folder, except for the locks of source models."""
    return sorted(path for path in folder.rglob("*") if "models" not in path.parts or path.name == "record.json")


@pytest.fixture(scope="module")
def data(tmp_path_factory, compose):
    """Write the files that the table names, and return their folder."""
    root = tmp_path_factory.mktemp("data")
    (root / "models").mkdir()
    photographs(root / "photos", ["ants", "bees"])
    photographs(root / "only_val", ["val/ants", "val/bees"])
    photographs(root / "pipes", ["ants", "bees"])
    photographs(root / "cased", [f"{split}/{kind}" for split in ("Train", "Val", "TEST") for kind in ("ants", "bees")])
    os.mkfifo(root / "pipes/ants/pipe.png")
    os.mkfifo(root / "pipe.npz")
    (root / "t.csv").write_text("a,b\n1,2\n")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), np.arange(60) % 3
    np.save(root / "x.npy", x)
    np.savez(root / "v.npz", x=x, y=y)
    np.savez(root / "minus.npz", x=x, y=y - 1)
    (root / "folder.pth").mkdir()
    torch.save(timm.create_model("test_resnet").state_dict(), root / "resnet.pth")
    for name, content in (
        ("foreign/test_outputs.npz", "mine"),
        ("fake/record.json", '{"schema": 2, "status": "done"}'),
    ):
        (root / name).parent.mkdir()
        (root / name).write_text(content)
    for name, typed in (("run", ()), ("kept", (f"target.root={root}/photos", "target=image_folder"))):
        settings = ("source=null", "strategy=target_only", "target_labels=2", "data.workers=0")
        run(compose("experiment=tiny", *settings, *typed), root / name, list(settings))
    checkpoint = torch.load(root / "run/last.ckpt", weights_only=True)
    checkpoint["state_dict"]["network.head.bias"][1] = float("nan")
    torch.save(checkpoint, root / "nan.ckpt")
    for name in ("broken", "edited"):
        shutil.copytree(root / "run", root / name)
    (root / "broken/last.ckpt").write_bytes(b"half of it")
    report(["--card", str(root / "edited")])
    with (root / "edited/model_card.md").open("a") as card:
        card.write("The photographs are mine.\n")
    return root


@pytest.fixture
def answer(main_here, tmp_path, capsys, monkeypatch, data):
    """A function that types a command and returns its message. It must fail, without a traceback or new files."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def typed(line: str) -> str:
        words = shlex.split(line.replace("DATA", str(data)))
        words = shlex.split(SHORT.get(words[0], shlex.quote(words[0]))) + words[1:]
        before = [files(each) for each in (tmp_path, data)]
        with pytest.raises(SystemExit) as stopped:
            COMMANDS[words[0]](words[1:]) if words[0] in COMMANDS else main_here(*words)
        said = capsys.readouterr()
        told = said.err + (stopped.value.code if isinstance(stopped.value.code, str) else "")
        assert stopped.value.code not in (0, None)
        assert "Traceback" not in told + said.out
        assert [files(each) for each in (tmp_path, data)] == before
        return told

    return typed


@pytest.mark.parametrize(("kind", "line", "says"), TABLE)
def test_a_mistake_is_one_sentence_and_leaves_nothing(kind, line, says, answer, tmp_path):
    for file, content in mistakes.FILES.items() if "--config-dir own" in line else ():
        path = tmp_path / "own" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    said = answer(line)
    if "profiler" in line:
        gc.collect()  # the destructor of a profiler that Lightning could not build raises an error
    assert re.search(says if kind in PATTERNS else re.escape(says), said, re.MULTILINE), said
    assert "++" not in said or "++" in line
    # A new line starts a new problem; a sentence is one line.
    assert len(said.splitlines()) <= 3 or "problems" in said or line.startswith("landbridge-"), said


# ---- what passes


def test_a_run_on_own_photographs_becomes_a_model(main_here, tmp_path, data, capsys):
    """Train, predict, export, write a card, and go on with more epochs, through the commands."""
    typed = f"{SHORT['I']} target.root={data}/cased data.workers=0 augment=flip_crop hydra.run.dir"
    main_here(*shlex.split(f"{typed}=run"))
    assert Record.read(tmp_path / "run").data["target"]["classes"] == ["ants", "bees"]
    capsys.readouterr()
    predict(["run", f"{data}/photos/ants", "--out", "p.csv"])
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert len(lines) == 9
    found = landbridge.load("run", "cpu").predict([line.split(",")[0] for line in lines[1:]])
    assert [line.split(",")[1] for line in lines[1:]] == found.classes
    export(["run", "m.safetensors"])
    report(["--card", "run"])
    main_here(*shlex.split(f"{typed}=more continues=run trainer.max_epochs=2"))
    parent = Record.read(tmp_path / "more").parent
    assert parent is not None
    assert parent["epochs"] == 1
    report(["--card", "more"])
    report(["more"])
    for file in ("model_card.md", "report.html"):
        assert "the run in run, which had 1 epochs" in (tmp_path / "more" / file).read_text()


def test_an_odd_record_ends_no_report(tmp_path, data, capsys):
    for name in ("sound", "odd"):
        shutil.copytree(data / "run", tmp_path / name)
    record = json.loads((tmp_path / "odd/record.json").read_text())
    (tmp_path / "odd/record.json").write_text(json.dumps(record | {"epochs": "three"}))
    report([str(tmp_path)])
    assert "epochs: input should be a valid list" in capsys.readouterr().err
    assert (tmp_path / "report.html").exists()


def test_frozen_heads_read_the_cache_of_activations(main_here, tmp_path):
    for strategy in ("knn", "nearest_mean", "logistic", "linear_probe"):
        typed = f"strategy={strategy} target_labels=2 cache=activations cache.path=store hydra.run.dir={strategy}"
        main_here(*TINY, *typed.split())
        assert Record.read(tmp_path / strategy).cost["cache"]["depth"] == 2, strategy
