"""Hydra's messages in one sentence, without the advice that does not hold for landbridge."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from hydra.conf import HydraConf

from landbridge.errors import nearest

NO_MATCH = re.compile(r"Could not override '([^']*)'")
NO_OPTION = re.compile(r"Could not find '([^']*)/([^'/]*)'")
FILE = re.compile(r"In '([^']*)'")
KEY = re.compile(r"^\s+full_key: (\S+)", re.MULTILINE)
OPTION = re.compile(r"^\t(\S+)$", re.MULTILINE)
#: Lines with advice, with places that Hydra has searched, or with names of Hydra's own classes.
ASIDE = re.compile(
    r"^(To append to your|Did you mean|See https|Set the environment|Config search path|\s+\S+_type=|\s+\S)"
)


def in_one_sentence(message: str) -> str:
    """Return a message of Hydra or OmegaConf in one sentence."""
    # `overrides.as_additions` has added these prefixes.
    message = message.replace("'++", "'").replace(" ++", " ").replace("\n++", "\n")
    if match := NO_MATCH.search(message):
        best = nearest(match[1], hydra_names()) if match[1].startswith("hydra") else None
        place = FILE.match(message)
        return (
            f"{place[1] + ': ' if place else ''}{match[1]}: there is no such setting or group"
            f"{'; nearest: ' + best if best else ''}"
        )
    if match := NO_OPTION.search(message):
        options = OPTION.findall(message.partition("Config search path")[0])
        best = nearest(match[2], options)
        hint = f"; nearest: {best}" if best else f"; options: {', '.join(options)}" if options else ""
        return f"{match[1]}={match[2]}: there is no such option{hint}"
    first, *rest = message.strip().splitlines() or [""]
    if not first.startswith(("Error ", "Cannot find primary config", "In '")):
        key = KEY.search(message)
        return f"{key[1]}: {first}" if key else message.rstrip()
    kept = [first.strip(), *(line.strip() for line in rest if line.strip() and not ASIDE.match(line))]
    return ": ".join(line.rstrip(".:") for line in kept).removeprefix("Error merging override ")


def hydra_names() -> list[str]:
    """Return the names of all of Hydra's own settings, such as `hydra.run.dir`."""
    return [f"hydra.{name}" for name in _names(HydraConf)]


def _names(kind: Any) -> Iterator[str]:
    for each in fields(kind):
        yield each.name
        if is_dataclass(each.type):
            yield from (f"{each.name}.{name}" for name in _names(each.type))
