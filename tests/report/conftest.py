"""A real sweep of the smallest transfers, shared by all tests of the report."""

import pytest

from landbridge.report.__main__ import main
from landbridge.run.run import run


@pytest.fixture(scope="session")
def swept(compose, tmp_path_factory):
    """A folder with the runs of two strategies and an oracle over two seeds, and the report on them."""
    folder = tmp_path_factory.mktemp("sweep")
    cells = [("source_only", 0), ("dann", 0), ("target_only", "all")]
    for strategy, labels in cells:
        for seed in (0, 1):
            overrides = [f"strategy={strategy}", f"seed={seed}", f"target_labels={labels}", "trainer.max_epochs=3"]
            run(compose("experiment=tiny", *overrides), folder / f"{strategy}-{seed}", overrides)
    main([str(folder), "--title", "tiny"])
    return folder
