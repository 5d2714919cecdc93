"""Which jobs have the same identity, before any data is read."""

from omegaconf import OmegaConf

from landbridge.sweeps.identity import identity


def test_identities_differ_only_if_the_results_can_differ(compose):
    def of(*overrides):
        return identity(OmegaConf.to_container(compose(*overrides), resolve=True))

    photos = ["target=image_folder", "strategy=target_only", "target_labels=all", "target.root=a"]
    from_file = ["start=checkpoint", "start.path=one.ckpt"]
    assert of() == of("logger=none") == of("name=other") == of("data.workers=1") == of("cache=off")
    different = [
        of(),
        of("seed=1"),
        of("target=uci_digits"),
        of("strategy=mcc"),
        of(*photos),
        of(*photos[:3], "target.root=b"),
        of(*from_file),
        of(*from_file[:1], "start.path=two.ckpt"),
    ]
    assert len(set(different)) == len(different)
    # No stream needs the source here, so the source does not change the identity.
    assert of("strategy=target_only", "target_labels=all", "source=uci_digits") == of(
        "strategy=target_only", "target_labels=all", "source=mnist_5k"
    )
