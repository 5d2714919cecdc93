"""Garbage in the hidden labels of raw data changes no weight, whatever the strategy and the kind of domain.

The garbage is there before the domain is made. `test_every_strategy` does the same for every strategy with images in
memory, and `test_every_task` replaces labels of other tasks.
"""

import pytest
from test_every_strategy import STRATEGIES, setting, trains_alike_on_garbage  # noqa: F401

from raw_labels import KINDS

#: Strategies of several families, and a number of visible labels for each.
SOME = [("target_only", 2), ("dann", 0)]
MORE = [("source_only", 0), ("pseudo_label", 2), ("mme", 2), ("logistic", 2)]
#: The kinds for which the first strategy is enough in most test runs.
LIKE_OTHERS = {"images of a table", "numbers of a table", "union"}
#: What texts and vectors cannot do; `test_text_runs` has the messages.
NO_TEXTS = {"adamatch", "bi_tuning", "fixmatch", "adabn", "bn_adapt", "dsbn", "stoch_norm"}
NOT_HERE = {"texts of a table": NO_TEXTS, "vectors": NO_TEXTS, "numbers of a table": NO_TEXTS}


CASES = [
    pytest.param(
        kind, *each, marks=[pytest.mark.slow] if each in MORE or (each in SOME[1:] and kind in LIKE_OTHERS) else []
    )
    for kind in KINDS
    for each in SOME + MORE
]


@pytest.mark.parametrize(("kind", "strategy", "budget"), CASES)
def test_hidden_labels_change_only_the_final_test(kind, strategy, budget, trains_alike_on_garbage):  # noqa: F811
    needed(kind)
    trains_alike_on_garbage(strategy, budget, kind)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strategy", sorted({*STRATEGIES} - {name for name, _ in SOME + MORE}))
def test_hidden_labels_of_every_kind_change_only_the_final_test(kind, strategy, trains_alike_on_garbage):  # noqa: F811
    needed(kind)
    if strategy not in NOT_HERE.get(kind, ()):
        trains_alike_on_garbage(strategy, "fewest", kind)


def needed(kind):
    if "table" in kind:
        pytest.importorskip("polars")
    if "text" in kind:
        pytest.importorskip("transformers")
