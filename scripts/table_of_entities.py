"""Write a table of the sentences of WNUT 2017, with the types of the named entities of each sentence.

The parts are read from `$LANDBRIDGE_DATA/wnut17`. The columns are `sentence`, `types` (such as `location|person`, or ""
if a sentence has no entity), `split` and `site`. The training split is from Twitter, the validation split from YouTube,
and the test split from Reddit, Stack Exchange and Twitter.

    LANDBRIDGE_DATA=../data python scripts/table_of_entities.py entities.csv [--most 1000000]
"""

import argparse
import csv
import gzip
import os
from collections.abc import Iterator
from pathlib import Path

SPLITS = {"train": "train", "dev": "val", "test": "test"}


def sentences(file: Path) -> Iterator[tuple[str, set[str]]]:
    """Yield each sentence with the types of its entities."""
    with gzip.open(file, "rt", encoding="utf-8", newline="\n") as opened:
        blocks = opened.read().strip("\n").split("\n\n")
    for block in blocks:
        tokens, tags = zip(*(line.split("\t") for line in block.split("\n")), strict=True)
        yield " ".join(tokens), {tag.partition("-")[2] for tag in tags if tag != "O"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--most", type=int, default=10**6, help="largest number of sentences of each part")
    arguments = parser.parse_args()
    with arguments.table.open("w", newline="") as opened:
        # An empty cell would be a missing label: all cells are in quotes.
        table = csv.writer(opened, quoting=csv.QUOTE_ALL)
        table.writerow(["sentence", "types", "split", "site"])
        for file in sorted((Path(os.environ["LANDBRIDGE_DATA"]) / "wnut17").glob("*.conll.gz")):
            part, _, site = file.name.removesuffix(".conll.gz").partition("_")
            for sentence, types in list(sentences(file))[: arguments.most]:
                table.writerow([sentence, "|".join(sorted(types)), SPLITS[part], site.partition("_")[0]])


if __name__ == "__main__":
    main()
