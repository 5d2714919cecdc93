"""Compare adaptation methods on pairs of digit domains over paired seeds; writes the tables of docs/results.md.

Three blocks: without augmentation, with weak augmentation of labelled images, and with a target whose classes are not
balanced. All strategies use their default settings. The sweeps run the seeds 0 to 4 first, so that the tables of an
interrupted comparison are balanced. USPS is read from `$LANDBRIDGE_DATA/usps` if LANDBRIDGE_DATA is set, and downloaded
otherwise.

    python benchmarks/transfer.py --blocks none --pairs uci_digits:mnist_5k --strategies source_only dann --seeds 6
"""

import os
from collections.abc import Sequence

from publish import ROOT, arguments, portions, publish

PAGE = ROOT / "docs" / "results.md"
PAIRS = ["uci_digits:mnist_5k", "mnist_5k:uci_digits", "mnist_5k:usps"]
#: The pair whose target has a long tail of classes in the block `prior`.
SHIFTED = "mnist_5k:uci_digits"
REFERENCE = "source_only"
#: A simple control. A method's own idea helps only if its accuracy is above that of this strategy.
CONTROL = "adabn"
STEPS = "trainer.max_epochs=10 data.steps_per_epoch=30 optimizer.fused=true logger=none"
#: Methods that continue a source model take its steps and their own. This is the reference with as many steps.
TWICE = "trainer.max_epochs=20 data.steps_per_epoch=30 optimizer.fused=true logger=none"
#: Training on all labels of the target, which no adaptation method reads.
ORACLE = "strategy=target_only target_labels=all"
#: Adaptation methods without an augmentation of their own, one line per family.
PLAIN = [
    *("adabn", "dsbn", "bn_adapt", "tent"),
    *("dan", "jan", "coral", "deepjdot", "swd", "safn"),
    *("dann", "bsp", "cdan", "cdan_e", "mdd", "mcd", "adda"),
    *("mcc", "bnm", "entropy"),
    *("pseudo_label", "mme"),
    *("shot", "shot_im", "gmm_prototypes"),
]
#: Methods with weak augmentation of labelled images.
WEAK = ["adabn", "dan", "coral", "dann", "cdan_e", "mcc", "pseudo_label", "mme", "shot", "fixmatch", "adamatch"]
#: The loss on unlabelled target samples that each self-training method has, switched off.
ABLATIONS = {
    "fixmatch": "strategy.weight=0",
    "adamatch": "strategy.weight=0",
    "mme": "strategy.weight=0",
    "pseudo_label": "strategy.terms.pseudo_label.weight=0",
    "shot": "strategy.beta=0",
}
#: The heads of the methods that set one. A method and its reference have the same head.
HEADS = {"mdd": "mdd", "mcd": "mcd"}
PRIOR = ["adabn", "coral", "dann", "mcc", "bnm", "shot", "gmm_prototypes", "fixmatch", "adamatch"]
#: The target under a long tail of classes: the most frequent class is ten times as frequent as the rarest.
LONG_TAIL = "target.prior=10"
#: For each block, its methods, the augmentation of labelled images, and further settings of every run.
BLOCKS = {"none": (PLAIN, "none", []), "weak": (WEAK, "weak", []), "prior": (PRIOR, "weak", [LONG_TAIL])}


def sweeps(blocks: Sequence[str], pairs: Sequence[str], seeds: int, strategies: Sequence[str] = ()) -> list[str]:
    """Return the sweeps of some blocks, as they stand after `landbridge -m`.

    Args:
        blocks: names of `BLOCKS`.
        pairs: `source:target`, for the blocks that have no pair of their own.
        seeds: their number.
        strategies: the methods to compare; all if empty. References and oracles always run.
    """
    balanced = [block for block in blocks if block != "prior"]
    places = [(pair, balanced) for pair in pairs if balanced] + [(SHIFTED, ["prior"])] * ("prior" in blocks)
    return [
        " ".join([f"seed={own}", _domains(pair), *each])
        for own in portions(seeds, 5)
        for pair, of_pair in places
        for each in _on_pair(of_pair, strategies)
    ]


def _on_pair(blocks: Sequence[str], strategies: Sequence[str]) -> list[list[str]]:
    """Return the settings of each sweep on a pair: methods, further references and ablations of each block, oracles."""
    found = []
    for methods, augment, further in (BLOCKS[block] for block in blocks):
        own = [name for name in methods if name in (strategies or methods)]
        found.append([*further, f"augment={augment}", f"strategy={','.join([REFERENCE, *own])}", STEPS])
        if heads := [HEADS[name] for name in own if name in HEADS]:
            found.append([*further, f"augment={augment}", f"strategy={REFERENCE}", f"head={','.join(heads)}", STEPS])
        # Ablations with the same setting share a sweep.
        off: dict[str, list[str]] = {}
        for name in own if augment != "none" else ():
            if name in ABLATIONS:
                off.setdefault(ABLATIONS[name], []).append(name)
        found += [
            [*further, f"augment={augment}", f"strategy={','.join(names)}", setting, STEPS]
            for setting, names in off.items()
        ]
    common = [*BLOCKS[blocks[0]][2], f"augment={','.join(BLOCKS[block][1] for block in blocks)}"]
    return [*found, [*common, f"strategy={REFERENCE}", TWICE], [*common, ORACLE, STEPS]]


def _domains(pair: str) -> str:
    source, target = pair.split(":")
    data = os.environ.get("LANDBRIDGE_DATA")
    roots = [f"{role}.root={data}/usps" for role, name in (("source", source), ("target", target)) if name == "usps"]
    return " ".join([f"source={source}", f"target={target}", *(roots if data else [])])


def main() -> None:
    """Run the sweeps that the arguments choose, and write the tables."""
    parser = arguments(__doc__, "outputs/bench-transfer", seeds=8)
    parser.add_argument("--blocks", nargs="+", default=list(BLOCKS), choices=list(BLOCKS))
    parser.add_argument("--pairs", nargs="+", default=PAIRS, metavar="SOURCE:TARGET")
    parser.add_argument("--strategies", nargs="+", default=[], help="methods to run (default: all of the block)")
    options = parser.parse_args()
    publish(sweeps(options.blocks, options.pairs, options.seeds, options.strategies), PAGE, CONTROL, options)


if __name__ == "__main__":
    main()
