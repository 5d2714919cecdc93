"""Turns what a library raises about a configuration node into one sentence: the setting, its value and the reason."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from landbridge.errors import LandbridgeError

#: Failures of the surroundings: they are no error of landbridge, wherever they are raised.
SURROUNDINGS = (OSError, ImportError, MemoryError)
#: Their messages say nothing without the class.
TERSE = (LookupError, ArithmeticError, AssertionError, AttributeError, NotImplementedError)
#: How many settings a message lists if the reason mentions none of them, and how long the reason may be.
LISTED, LONGEST = 4, 400
ALLOCATION = re.compile(r"you tried to allocate (\d+) bytes")


@contextmanager
def explained(node: DictConfig | Mapping[str, Any] | None) -> Iterator[None]:
    """Turn an exception of a library into one sentence that names the setting, its value and the library's reason.

    An exception that is raised in landbridge's own code is an error of landbridge and keeps its traceback.

    Args:
        node: the node whose object is built or used in the block; None changes nothing.

    Raises:
        LandbridgeError: a library refuses a setting, or the memory or a file is missing.
    """
    try:
        yield
    except (HydraException, OmegaConfBaseException):
        raise
    except Exception as error:
        if node is None or (_module(error.__traceback__).startswith("landbridge.") and not surroundings(error)):
            raise
        reason = reason_of(error)
        raise LandbridgeError(f"{_places(node, reason)}: {reason}") from error


def raised_in(error: BaseException, *packages: str) -> bool:
    """Return whether an exception was raised in one of these packages."""
    return _module(error.__traceback__).startswith(packages)


def surroundings(error: Exception) -> bool:
    """Return whether a file, a package or memory is missing."""
    return isinstance(error, SURROUNDINGS)


def reason_of(error: BaseException) -> str:
    """Return the message of a library in one line."""
    text = " ".join(str(error).split())
    if match := ALLOCATION.search(text):
        return f"this needs {int(match[1]) / 1e9:,.1f} GB of memory at once, and so much is not free"
    if isinstance(error, OSError) and error.filename:
        text = f"{error.filename}: {error.strerror}"
    if not text or isinstance(error, TERSE):
        text = f"{type(error).__name__}{': ' if text else ''}{text}"
    if error.__cause__ and (cause := reason_of(error.__cause__)) not in text:
        text += f" ({cause})"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _module(trace: TracebackType | None) -> str:
    """Return the name of the module that raised, such as `timm.models.resnet`."""
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace.tb_frame.f_globals.get("__name__", "") if trace else ""


def _places(node: DictConfig | Mapping[str, Any], reason: str) -> str:
    """Return the settings that a reason mentions by name or by value, as a user would type them."""
    root = node._get_full_key(None) if isinstance(node, DictConfig) else ""
    content: Any = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
    settings = {".".join(path): value for path, value in _settings(content, (root,) if root else ())}
    named = {path for path in settings if _mentions(reason, path.rpartition(".")[2])}
    named = named or {path for path, value in settings.items() if len(str(value)) > 1 and _mentions(reason, str(value))}
    plain = {path: value for path, value in settings.items() if value is not None and not isinstance(value, bool)}
    chosen = {path: value for path, value in settings.items() if path in named} or plain
    if not chosen or (not named and len(chosen) > LISTED):
        return root or str(content.get("_target_"))
    return ", ".join(f"{path}={value}" for path, value in chosen.items())


def _settings(content: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _settings(value, (*path, str(name)))
        elif not str(name).startswith("_"):
            yield (*path, str(name)), value


def _mentions(reason: str, word: str) -> bool:
    # Packages and settings often differ in this sign only, such as `transformer-engine` and `transformer_engine`.
    word, reason = word.replace("-", "_"), reason.replace("-", "_")
    return re.search(rf"(?<![\w.]){re.escape(word)}(?!\w)", reason) is not None
