"""The process of a pack: `python -m landbridge.packs FILE` runs the members that the file lists, one a line of JSON."""

import json
import sys
from pathlib import Path

from landbridge.packs.console import Console
from landbridge.packs.pack import Work, run_pack
from landbridge.run.allocator import keep_memory


def main() -> None:
    """Run a pack. Records and consoles of the members say how each ended."""
    lines = [json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    keep_memory()
    console = Console()
    with console.open():
        run_pack([Work(**{**line, "folder": Path(line["folder"])}) for line in lines], console)


if __name__ == "__main__":
    main()
