"""Names of pairs and methods that are unique in a report, by the settings that differ."""

from collections.abc import Iterable, Mapping

from landbridge.report.runs import DOMAINS, Method, Run


def name_apart(runs: Iterable[Run]) -> None:
    """Make the names of pairs and methods unique in the report, by adding the settings that differ.

    Example:
        Runs of `fine_tune` with depths 0 and 2 become `fine_tune freeze.depth=0` and `fine_tune freeze.depth=2`.
    """
    runs = list(runs)
    for role in DOMAINS:
        alike: dict[str | None, set[str | None]] = {}
        for run in runs:
            alike.setdefault(getattr(run.pair, role), set()).add(run.domain_fingerprint(role))
        doubtful = {name for name, prints in alike.items() if name and len(prints - {None}) > 1}
        for name in doubtful:
            same = [run for run in runs if getattr(run.pair, role) == name]
            keys = varying(run.domain_settings(role) for run in same)
            several_kinds = len({run.task(role)["kind"] for run in same}) > 1
            for run in same:
                own = run.domain_settings(role)
                kind = [run.task(role)["kind"].replace("_", "-")] if several_kinds else []
                detail = ", ".join([*kind, *(f"{key}={own.get(key, 'default')}" for key in keys)])
                label = f"{name} ({detail or str(run.domain_fingerprint(role))[:6]})"
                run.pair = run.pair._replace(**{role: label})
    for strategy in {run.strategy for run in runs}:
        same = [run for run in runs if run.strategy == strategy]
        keys = _telling(varying(run.settings for run in same), [run.settings for run in same])
        for run in same:
            run.method = Method(strategy, tuple((key, run.settings.get(key, "default")) for key in keys))


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
