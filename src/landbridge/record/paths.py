"""Short names of paths that are different."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def domain_path(config: Mapping[str, Any], role: str) -> str | None:
    """Return the path of a domain's data in the configuration of a run; None if it has none of its own."""
    node = config.get(role) or {}
    return node.get("root") or node.get("file")


def told_apart(paths: Iterable[str]) -> dict[str, str]:
    """Return for each path its last parts, as few as are needed to tell all of them apart, without an ending.

    Example:
        `/data/siteA/images` and `/data/siteB/images` become `siteA/images` and `siteB/images`.
    """
    parts = {path: Path(path).expanduser().resolve().with_suffix("").parts for path in paths}
    different = len(set(parts.values()))
    deepest = max(map(len, parts.values()), default=1)
    for depth in range(1, deepest + 1):
        names = {path: "/".join(each[-depth:]) for path, each in parts.items()}
        if len(set(names.values())) == different:
            return names
    return dict(zip(parts, parts, strict=True))
