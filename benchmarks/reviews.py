"""Sentiment of reviews, from books to electronics with 20 labels a class, with MiniLM frozen and fine-tuned.

The reviews are read from `$LANDBRIDGE_DATA/reviews`. A quarter of each domain is the test split. All runs share a cache
of activations, and runs that are already finished in `--folder` are not repeated.

    LANDBRIDGE_DATA=../data python benchmarks/reviews.py --seeds 3
"""

import argparse
import gzip
import json
import os
import statistics
from pathlib import Path

import torch

from landbridge.data.domain import Domain
from landbridge.data.split_domain import split_domain
from landbridge.data.text_inputs import TextInputs
from landbridge.record import Record
from runs import run_one

FROZEN = ["freeze.depth=all", "optimizer.lr=0.01", "data.steps_per_epoch=100"]  # steps cost little with a cache
TUNED = ["freeze.depth=4", "optimizer.lr=0.0005"]
COMMON = [
    *("backbone=minilm", "start=pretrained", "backbone.longest=128", "data.eval_batch_size=16", "data.batch_size=32"),
    *("trainer.max_epochs=6", "data.steps_per_epoch=10", "selection=last"),
]
METHODS = {
    "source_only, frozen, no target label": ["strategy=source_only", "target_labels=0", *FROZEN],
    "logistic, frozen": ["strategy=logistic", "target_labels=20"],
    "linear_probe, frozen": ["strategy=linear_probe", "target_labels=20", *FROZEN],
    "mme, frozen, both domains": ["strategy=mme", "target_labels=20", *FROZEN],
    "target_only, freeze.depth=4": ["strategy=target_only", "target_labels=20", *TUNED],
    "target_only, LoRA": ["strategy=target_only", "target_labels=20", "tuning=lora", "optimizer.lr=0.002"],
    "source_only, freeze.depth=4, no target label": ["strategy=source_only", "target_labels=0", *TUNED],
}


def reviews(name: str) -> Domain:
    """Open one domain of the reviews."""
    with gzip.open(Path(os.environ["LANDBRIDGE_DATA"]) / "reviews" / f"{name}.jsonl.gz", "rt") as file:
        rows = [json.loads(line) for line in file]
    labels = torch.tensor([row["label"] for row in rows])
    return split_domain(name, ("negative", "positive"), TextInputs([row["text"] for row in rows]), labels, test=0.25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", default="", help="part of the names of the methods that run")
    parser.add_argument("--folder", type=Path, default=Path("outputs/reviews"))
    parser.add_argument("overrides", nargs="*", help="further settings of every run, such as cache.path=DIR")
    arguments = parser.parse_args()
    domains = ["source._target_=reviews.reviews", "source.name=books"]
    domains += ["target._target_=reviews.reviews", "target.name=electronics"]
    for method, overrides in METHODS.items():
        if arguments.methods not in method:
            continue
        accuracies, seconds = [], []
        for seed in range(arguments.seeds):
            own = [*domains, *COMMON, *overrides, f"seed={seed}", *arguments.overrides]
            folder = arguments.folder / method.replace(", ", "-").replace(" ", "_") / str(seed)
            record = Record.read(Path(run_one((own, str(folder)))))
            accuracies.append(record.results["target"]["accuracy"])
            seconds.append(record.cost["seconds"])
        listed = ", ".join(f"{each:.3f}" for each in accuracies)
        print(f"{method}: {statistics.mean(accuracies):.3f} ({listed}); {sum(seconds):.0f} s", flush=True)


if __name__ == "__main__":
    main()
