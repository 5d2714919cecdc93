"""The command line: a Hydra application that composes a configuration, checks it and runs it.

Large packages such as torch are imported only when a run begins, so that `--help` and `--cfg job` answer at once.
"""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from landbridge.cli.config_sources import ROLES, conf_folder, config_folders, register_groups, replaced_files
from landbridge.cli.exit import mistakes_in_short, nothing_left, told_in_short
from landbridge.cli.flags import show_version
from landbridge.cli.options import options_in, require_single
from landbridge.cli.overrides import as_additions, as_typed


@hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")
def task(cfg: DictConfig) -> float | None:
    """Run one transfer, and return the score that a sweeper maximises or minimises."""
    from hydra.core.hydra_config import HydraConfig

    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    choices = {group: choice for group, choice in hydra_config.runtime.choices.items() if choice and "/" not in group}
    # Without this, Hydra would add a line with the overrides in its own form, not as they were typed.
    with mistakes_in_short(), nothing_left(folder, hydra_config.job.name, Path(hydra_config.run.dir)):
        from landbridge.config.names import check_names

        check_names(cfg)
        from landbridge.run.allocator import keep_memory
        from landbridge.run.run import run

        keep_memory()
        record = run(cfg, folder, as_typed(hydra_config.overrides.task), choices)
    from landbridge.run.final_table import print_record

    if record.results:
        print_record(record, folder)
    return record.score()


def main() -> None:
    """Run the command line: the entry point of `landbridge` and of `python -m landbridge`."""
    with told_in_short():
        show_version(sys.argv[1:])
        sys.argv[1:] = as_additions(sys.argv[1:])
        require_single(sys.argv[1:], {*options_in(config_folders(sys.argv[1:])), *ROLES})
        register_groups(sys.argv[1:])
        for file in replaced_files(sys.argv[1:]):
            print(f"{file} is read in place of landbridge's own file of this name", file=sys.stderr)
        task()


if __name__ == "__main__":
    main()
