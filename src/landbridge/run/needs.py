"""Compares what a strategy and its auxiliary losses need with the setting, before anything is built."""

from omegaconf import DictConfig

from landbridge.data.streams import choose_streams
from landbridge.errors import LandbridgeError
from landbridge.models.start import Start
from landbridge.run.initial_network import strategy_class
from landbridge.strategies.terms import join_terms
from landbridge.tasks import Task


def streams_of(cfg: DictConfig, start: Start, choice: str | None = None) -> frozenset[str]:
    """Return the names of the training streams that the strategy and its auxiliary losses need.

    Args:
        cfg: the checked configuration.
        start: the source of the initial weights.
        choice: the name of the strategy in its config group, for messages.

    Raises:
        LandbridgeError: the setting lacks something that the strategy needs.
    """
    strategy = strategy_class(cfg)
    requirements, name = strategy.requirements, choice or strategy.__name__
    if requirements.source_model and not start.brings_head:
        raise LandbridgeError(f"strategy {name} needs a source model: set start=source or start=checkpoint")
    if cfg.label_sets == "different" and not requirements.separate_heads:
        raise LandbridgeError(_one_head(f"strategy {name}"))
    if requirements.adapts_at_test and not cfg.transductive:
        raise LandbridgeError(f"strategy {name} adapts to the test inputs themselves: set transductive=true")
    terms = join_terms(cfg.strategy.get("terms"), cfg.get("terms"))
    if terms and requirements.no_terms_because:
        raise LandbridgeError(
            f"terms: {', '.join(terms)} cannot act on strategy {name}: {requirements.no_terms_because}"
        )
    for term_name, term in terms.items():
        if cfg.label_sets == "different" and not term.separate_heads:
            own = term_name in (cfg.strategy.get("terms") or ())
            raise LandbridgeError(_one_head(f"strategy {name}" if own else f"terms: {term_name}"))
    back = [f"terms: {each}" for each, term in terms.items() if term.looks_back]
    back += [f"strategy {name}"] if requirements.looks_back and not requirements.source_classifier else []
    if back and not start.brings_weights:
        raise LandbridgeError(
            f"{back[0]} keeps the network near its initial weights, which are random with start=scratch: set "
            "start=pretrained, start=source or start=checkpoint"
        )
    added = [*(cfg.get("terms") or ())]
    name += f" with terms {', '.join(added)}" if added else ""
    wanted = frozenset(requirements.streams).union(*(term.streams for term in terms.values()))
    if requirements.source_instead and not cfg.target_labels and cfg.get("source"):
        wanted = (wanted - {"target"}) | {"source"}
    optional = frozenset(requirements.optional_streams)
    chosen = choose_streams(name, wanted, optional, cfg.target_labels, bool(cfg.get("source")))
    if cfg.label_sets == "different" and "target" not in chosen:
        raise LandbridgeError(
            "label_sets=different gives the target a head of its own, which only visible target labels can train: "
            "set target_labels to a number above 0 or to all"
        )
    return chosen


def _one_head(what: str) -> str:
    return f"{what} needs one head for source and target, and label_sets=different gives each its own"


def require_task(cfg: DictConfig, task: Task, choice: str | None = None, role: str = "target") -> None:
    """Refuse a strategy, a term or a label smoothing that cannot serve a task.

    Args:
        cfg: the checked configuration.
        task: of a domain.
        choice: the name of the strategy in its config group, for messages.
        role: `source` or `target`, for messages.

    Raises:
        LandbridgeError: says what it needs.
    """
    strategy = strategy_class(cfg)
    terms = join_terms(cfg.strategy.get("terms"), cfg.get("terms"))
    if role == "target":
        task.smoothed(cfg.get("label_smoothing") or 0.0)
    needs = {f"strategy {choice or strategy.__name__}": strategy.requirements.needs}
    # A term that does not read the source does not read outputs of the source's own task either.
    needs |= {f"terms: {name}": each.needs for name, each in terms.items() if role == "target" or role in each.streams}
    for name, each in needs.items():
        if lacking := each - task.gives:
            listed = " and ".join(sorted(lacking))
            raise LandbridgeError(f"{name} needs {listed}, and the {role}'s task is {task.kind.replace('_', ' ')}")
