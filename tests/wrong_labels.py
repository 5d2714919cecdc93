"""Domains whose hidden labels are wrong: texts, unions and tables. See `dusk.with_wrong_labels`."""

from collections.abc import Mapping
from typing import Any

from dusk import with_wrong_labels
from dusk_text import chatter
from landbridge.data.domain import Domain
from landbridge.data.sources.table import table
from landbridge.data.sources.union import union


def lying_chatter(name: str, budget: int = 0) -> Domain:
    """Make sentences of which the hidden labels are wrong."""
    return with_wrong_labels(chatter(name), budget)


def lying_union(domains: Mapping[str, Domain], budget: int = 0) -> Domain:
    """Join domains, and make the hidden labels of the union wrong."""
    return with_wrong_labels(union(domains), budget)


def lying_table(budget: int = 0, **settings: Any) -> Domain:
    """Load a table, and make its hidden labels wrong."""
    return with_wrong_labels(table(**settings), budget)
