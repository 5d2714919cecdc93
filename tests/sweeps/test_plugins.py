"""The plugin file, as Hydra loads it in programs that do not use landbridge."""

import os
import subprocess
import sys
from pathlib import Path

PLUGINS = Path(__file__).parents[2] / "src"
PROGRAM = """
import hydra, sys

@hydra.main(version_base="1.3", config_path=None)
def program(cfg):
    heavy = {"torch", "numpy", "pytorch_lightning", "landbridge", "rich"} & {name.split(".")[0] for name in sys.modules}
    print("heavy:", heavy or "none")

program()
"""


def test_another_program_loads_the_plugins_and_imports_no_large_packages(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    run = subprocess.run(
        [sys.executable, "-W", "error", "program.py", "hydra/launcher=landbridge", "hydra/sweeper=landbridge"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(PLUGINS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (run.stdout, run.stderr) == ("heavy: none\n", "")
