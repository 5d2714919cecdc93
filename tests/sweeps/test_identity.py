"""Which jobs count as one and the same before any data is read."""

from omegaconf import OmegaConf

from landbridge.sweeps.identity import identity


def test_jobs_differ_in_what_determines_their_results_and_in_nothing_else(compose):
    def told(*overrides):
        return identity(OmegaConf.to_container(compose(*overrides), resolve=True))

    photos = ["target=image_folder", "strategy=target_only", "target_labels=all", "target.root=a"]
    from_file = ["start=checkpoint", "start.path=one.ckpt"]
    assert told() == told("logger=none") == told("name=other") == told("data.workers=1") == told("cache=off")
    different = [
        told(),
        told("seed=1"),
        told("target=uci_digits"),
        told("strategy=mcc"),
        told(*photos),
        told(*photos[:3], "target.root=b"),
        told(*from_file),
        told(*from_file[:1], "start.path=two.ckpt"),
    ]
    assert len(set(different)) == len(different)
    # Nothing comes from a source that no stream needs.
    assert told("strategy=target_only", "target_labels=all", "source=uci_digits") == told(
        "strategy=target_only", "target_labels=all", "source=mnist_5k"
    )
