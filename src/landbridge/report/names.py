"""Names of pairs and methods that are unique in a report, by the settings that differ."""

from collections.abc import Iterable, Mapping
from itertools import product

from landbridge.record import told_apart
from landbridge.report.runs import DOMAINS, Method, Run


def name_apart(runs: Iterable[Run]) -> None:
    """Make the names of pairs and methods unique in the report, by adding the settings that differ.

    Example:
        Runs of `fine_tune` with depths 0 and 2 become `fine_tune freeze.depth=0` and `fine_tune freeze.depth=2`.
    """
    runs = list(runs)
    alike: dict[str, list[tuple[Run, str]]] = {}
    for run, role in product(runs, DOMAINS):
        alike.setdefault(getattr(run.pair, role) or "", []).append((run, role))
    for name, same in alike.items():
        if name and _are_several(same):
            _name_domains_apart(name, same)
    for strategy in {run.strategy for run in runs}:
        same = [run for run in runs if run.strategy == strategy]
        keys = _telling(varying(run.settings for run in same), [run.settings for run in same])
        for run in same:
            run.method = Method(strategy, tuple((key, run.settings.get(key, "default")) for key in keys))


def _are_several(same: list[tuple[Run, str]]) -> bool:
    """Return whether domains of one name differ. Seeds may have different splits of the same samples."""
    contents = {run.domain_content(role) for run, role in same} - {None}
    by_seed: dict[int, set[str]] = {}
    for run, role in same:
        if fingerprint := run.domain_fingerprint(role):
            by_seed.setdefault(run.seed, set()).add(fingerprint)
    return len(contents) > 1 or any(len(prints) > 1 for prints in by_seed.values())


def _name_domains_apart(name: str, same: list[tuple[Run, str]]) -> None:
    """Make the names of domains unique: by the settings that differ, else by their paths, else by a hash.

    Args:
        name: that all of them have.
        same: the runs, each with the role of the domain.
    """
    keys = varying(run.domain_settings(role) for run, role in same)
    several_kinds = len({run.task(role)["kind"] for run, role in same}) > 1
    by_path = {} if keys or several_kinds else _by_path(same)
    several_contents = len({run.domain_content(role) for run, role in same} - {None}) > 1
    for run, role in same:
        own = run.domain_settings(role)
        kind = [run.task(role)["kind"].replace("_", "-")] if several_kinds else []
        detail = ", ".join([*kind, *(f"{key}={own.get(key, 'default')}" for key in keys)])
        label = by_path.get(run.domain_path(role) or "")
        print_ = run.domain_content(role) if several_contents else run.domain_fingerprint(role)
        label = label or f"{name} ({detail or str(print_)[:6]})"
        run.pair = run.pair._replace(**{role: label})


def _by_path(same: list[tuple[Run, str]]) -> dict[str, str]:
    """Return names by the paths of the data, if each path holds one content; else nothing."""
    prints: dict[str, set[str]] = {}
    for run, role in same:
        if content := run.domain_content(role):
            prints.setdefault(run.domain_path(role) or "", set()).add(content)
    unclear = "" in prints or any(len(each) > 1 for each in prints.values())
    return {} if unclear else told_apart(prints)


def varying(settings: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the settings whose values differ, in the order of their first occurrence."""
    settings = list(settings)
    keys = dict.fromkeys(key for each in settings for key in each)
    return [key for key in keys if len({each.get(key) for each in settings}) > 1]


def _telling(keys: list[str], settings: list[dict[str, str]]) -> list[str]:
    """Drop the settings that the choice of their part determines, such as `start.before` if `start` determines it."""

    def follows(key: str) -> bool:
        part = key.partition(".")[0]
        choices = {each.get(part) for each in settings}
        return (
            part != key and part in keys and len({(each.get(part), each.get(key)) for each in settings}) == len(choices)
        )

    return [key for key in keys if not follows(key)]
