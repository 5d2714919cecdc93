"""A check that every override has the form `name=value`. It runs before Hydra, and says what to type instead."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from landbridge.cli.options import OPTIONAL, SEVERAL
from landbridge.errors import nearest

NAME = re.compile(r"\s*([+~]*)\s*([A-Za-z_][\w./@-]*)\s*")
VARIABLE = re.compile(r"\$\{(\w+)\}")
#: Functions of Hydra's grammar.
FUNCTION = re.compile(r"(range|choice|glob|interval|sort|shuffle|tag|int|float|str|bool|json_str)\(")
BRACKETS = {"[": "]", "{": "}", "(": ")"}


def grammar_problems(
    overrides: Sequence[str], options: Mapping[str, Sequence[str]], facts: frozenset[str], sweep: bool
) -> tuple[dict[str, str], list[str]]:
    """Find overrides that Hydra would refuse in its own terms, or read as something else than what was typed.

    Args:
        overrides: arguments of the command line that are no flags.
        options: the existing options of each config group.
        facts: names of plain settings at the root.
        sweep: whether several values of a setting are several jobs.

    Returns:
        For each problem, what was typed, and a message that says what to type; and the overrides without a problem.
    """
    problems: dict[str, str] = {}
    sound: list[str] = []
    parser = OverridesParser.create()
    words = list(overrides)
    while words:
        word = words.pop(0)
        if (spread := _around_equals(word, words)) is not None:
            typed, count = spread
            problems[" ".join([word, *words[:count]])] = f"no blanks around '='; type {typed}"
            del words[:count]
        elif "=" in word:
            if problem := _problem(word, parser) or ("" if sweep else _several(word, parser, options)):
                problems[word] = problem
            else:
                sound.append(word)
        elif not word.startswith("~"):
            before = overrides[len(overrides) - len(words) - 2] if len(words) + 1 < len(overrides) else ""
            follows = words[0] if words and "=" not in words[0] else None
            problem, used = _no_equals(word, before, follows, options, facts)
            problems[" ".join([word, *words[:used]])] = problem
            del words[:used]
        elif (name := word[1:]) in options.keys() - OPTIONAL - SEVERAL:
            problems[word] = f"landbridge needs a value for {name}; type {name}=..."
        else:
            sound.append(word)
    return problems, sound


def typed_as(name: str, value: str) -> str:
    """Return what to type in a shell so that a setting gets a text as it is.

    Example:
        `typed_as("target.root", "~/x")` is `'target.root="~/x"'`. The outer quotes are for the shell, the inner ones
        for Hydra.
    """
    text = re.sub(r'(\\*)(\$\{|")', r"\1\1\\\2", value)
    text = re.sub(r"(\\+)$", r"\1\1", text)
    return shlex.quote(f'{name}="{text}"')


def _around_equals(word: str, after: Sequence[str]) -> tuple[str, int] | None:
    """Return what was meant by words with a blank before or after the sign, and how many further words belong to it."""
    first, second = (*after, "", "")[:2]
    if "=" in word:
        name, _, value = word.partition("=")
        if name and not value and first and "=" not in first and not first.startswith("~"):
            return f"{name}={shlex.quote(first)}", 1
        return None
    if first == "=" and second and "=" not in second:
        return f"{word}={shlex.quote(second)}", 2
    if first.startswith("=") and len(first) > 1:
        return f"{word}={shlex.quote(first[1:])}", 1
    return None


def _problem(word: str, parser: OverridesParser) -> str | None:
    """Return what is wrong with an override that has an equals sign."""
    name, value = (part.strip() for part in word.split("=", 1))
    if not name:
        return f"the name of the setting is missing; type NAME={value}"
    matched = NAME.fullmatch(word.split("=", 1)[0])
    if not matched:
        return f"{name!r} is not the name of a setting; names have letters, digits, underscores and dots"
    if word != word.strip() or word.split("=", 1)[0] != name:
        return f"no blanks around '='; type {shlex.quote(f'{name}={value}')}"
    if value.startswith("="):
        value = value.lstrip("= ") or "VALUE"
        return f"one equals sign is enough; type {shlex.quote(f'{name}={value}')}"
    if not value and "." in name and not name.startswith(("~", "hydra.")):
        return f"has no value; type {name}=VALUE, or {name}=null for none"
    if (variable := VARIABLE.search(value)) and variable[1] in os.environ:
        instead = value.replace(variable[0], f"${{oc.env:{variable[1]}}}")
        return f"{variable[1]} is a variable of the shell; type {shlex.quote(f'{name}={instead}')}"
    if name.startswith("~") and not value:
        return None
    error = _refused(word, parser)
    return _unreadable(name, value, error, parser) if error else None


def _refused(word: str, parser: OverridesParser) -> HydraException | None:
    try:
        parser.parse_override(word)
    except HydraException as error:
        return error
    return None


def _several(word: str, parser: OverridesParser, options: Mapping[str, Sequence[str]]) -> str | None:
    """Return what to type in place of several values, where a single run takes one."""
    name, value = word.split("=", 1)
    # `options.option_problems` describes several options of a group.
    if name in options or not parser.parse_override(word).is_sweep_override():
        return None
    if re.fullmatch(r"-?0,\d+", value):
        return f"decimals have a point; type {name}={value.replace(',', '.')}, or add -m for a sweep over two values"
    many = "several values are a sweep; add -m"
    if "(" in value:  # a function of Hydra, such as `range(0,3)`
        return many
    return f"{many}, or type {shlex.quote(f'{name}=[{value}]')} for a list and {typed_as(name, value)} for one text"


def _unreadable(name: str, value: str, error: HydraException, parser: OverridesParser) -> str:
    opening = value[:1]
    if opening in ("[", "{") and value.count(opening) != value.count(BRACKETS[opening]):
        return f"the brackets do not match; each {opening} needs a {BRACKETS[opening]}"
    if FUNCTION.match(value) and value.count("(") != value.count(")"):
        return "the brackets do not match; each ( needs a )"
    if re.fullmatch(r"[\w.]+(;[\w.]+)+", value):
        return f"several values have commas between them; type {name}={value.replace(';', ',')}"
    if opening in ("'", '"') and not (len(value) > 1 and value.endswith(opening)):
        plain = f"{name}={value.strip(opening)}"
        quoted = typed_as(name, value.strip(opening))
        return f"the quotes do not match; type {quoted if _refused(plain, parser) else plain}"
    if opening in ("[", "{") and value.endswith(BRACKETS[opening]):
        reason = str(error).splitlines()[0]
        return f"the list or mapping cannot be read ({reason}); quote texts in it, as in [\"a b\",'c=d']"
    if ",," in value or value.endswith(",") or opening == ",":
        instead = ",".join(part for part in value.split(",") if part.strip())
        return f"a value between commas is missing; type {shlex.quote(f'{name}={instead}')}"
    return f"this value needs quotes; type {typed_as(name, value)}"


def _no_equals(
    word: str, before: str, follows: str | None, options: Mapping[str, Sequence[str]], facts: frozenset[str]
) -> tuple[str, int]:
    """Return what is wrong with a word without an equals sign, and how many further words belong to it."""
    name, colon, value = word.partition(":")
    names = options.keys() | facts
    if word == "landbridge":
        return "this is the command itself; leave the word out", 0
    if word in ("help", "version"):
        return f"this is a flag; type --{word}", 0
    place, _, file = word.removeprefix("conf/").removesuffix(".yaml").partition("/")
    if file in options.get(place, ()):
        return f"an option is chosen with an equals sign; type {place}={file}", 0
    if colon and name.partition(".")[0] in names:
        return f"settings have an equals sign; type {name}={shlex.quote(value)}", 0
    if word.partition(".")[0] in names:
        if follows is not None:
            return f"settings have an equals sign; type {word}={shlex.quote(follows)}", 1
        group, _, option = word.partition(".")
        chosen = f"{group}={option}" if option in options.get(group, ()) else f"{word}=..."
        return f"has no value; type {chosen}", 0
    groups = _choosing(word, options)
    if groups:
        return f"say what it is for; type {' or '.join(f'{group}={word}' for group in groups)}", 0
    if "=" in before:
        return f"if this belongs to the value before, type {shlex.quote(f'{before} {word}')}", 0
    best = nearest(word, {option for names in options.values() for option in names} | names)
    if best and (groups := _choosing(best, options)):
        return f"this is not a setting; nearest: {groups[0]}={best}", 0
    return "this is not a setting; type NAME=VALUE" + (f"; nearest: {best}=..." if best else ""), 0


def _choosing(option: str, options: Mapping[str, Sequence[str]]) -> list[str]:
    return sorted(group for group, names in options.items() if option in names)


def listed(problems: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a message about problems."""
    width = max(map(len, problems)) + 3
    yield f"{len(problems)} problem{'s' if len(problems) > 1 else ''} on the command line"
    yield from (f"  {what:{width}}{why}" for what, why in problems.items())
