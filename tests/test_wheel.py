"""The wheel contains everything that landbridge needs outside its repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build the wheel and unpack it as pip does; return the folder."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def landbridge(site: Path, cwd: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "landbridge", *arguments]
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_contains_every_config_file(installed):
    shipped = {path.relative_to(installed / "landbridge/conf") for path in installed.glob("landbridge/conf/**/*.yaml")}
    assert shipped == {path.relative_to(ROOT / "conf") for path in ROOT.glob("conf/**/*.yaml")}


def test_the_wheel_contains_the_templates_of_the_report(installed):
    parts = {path.name for path in (ROOT / "src/landbridge/report/templates").iterdir()}
    assert {path.name for path in installed.glob("landbridge/report/templates/*")} == parts != set()


@pytest.mark.slow
def test_the_installed_wheel_runs_in_an_empty_folder(installed, tmp_path):
    assert str(installed / "landbridge/conf") in landbridge(installed, tmp_path, "--info", "searchpath")
    landbridge(
        installed, tmp_path, "target=uci_digits", "trainer.max_epochs=1", "data.steps_per_epoch=2", "hydra.run.dir=run"
    )
    assert (tmp_path / "run/record.json").is_file()
    assert "to run" in landbridge(installed, tmp_path, "-m", "target=uci_digits", "hydra.launcher.dry_run=true")
