"""The test samples that are kept for the report: their choice and size. Keeping them does not change the run."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from torch.nn.functional import softmax

from dusk import DuskNet, dusk
from landbridge.models.network import Network
from landbridge.record import OUTPUTS, SAMPLES, Record, read_arrays
from landbridge.report.numbers import significant
from landbridge.report.runs import Run
from landbridge.report.single_runs.details import detail
from landbridge.run.samples import DIRECTIONS, EMBEDDED, PICTURES, PIXELS, Samples

CPU = torch.device("cpu")


def unknown(inputs):
    """Return None, as a cache without entries does."""


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(DuskNet(), 3)


@pytest.fixture
def domains():
    return {"source": dusk("noon", n=1500), "target": dusk("dusk", shift=0.5, n=100)}


def test_embedding_before_training_changes_neither_weights_nor_random_state(network, domains):
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    Samples(network, domains, network.backbone.format, CPU, unknown)
    assert torch.get_rng_state().equal(state)
    assert all(value.equal(weights[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_no_label_is_opened(network, domains):
    Samples(network, domains, network.backbone.format, CPU, unknown)
    assert not any(split.labels.openings for domain in domains.values() for split in domain.splits.values())


def kept(network, domains, folder, logits):
    samples = Samples(network, domains, network.backbone.format, CPU, unknown)
    for role, domain in domains.items():
        split = domain.splits["test"]
        inputs = split.inputs.read(torch.arange(len(split.inputs)), network.backbone.format)[0]
        with torch.no_grad():
            features = network(network.backbone.format.normalised(inputs))[0]
        samples.keep(role, split.inputs, features, logits[role], split.labels.open("test"))
    samples.write(folder)
    return read_arrays(folder / SAMPLES), samples


def test_embeddings_are_principal_components_of_a_limited_number_of_samples(network, domains, tmp_path):
    logits = {role: torch.randn(len(domain.splits["test"].inputs), 3) for role, domain in domains.items()}
    found, samples = kept(network, domains, tmp_path, logits)
    assert len(found["source_positions"]) == EMBEDDED < 300
    assert found["target_positions"].tolist() == list(range(20))
    assert (tmp_path / SAMPLES).stat().st_size < 200_000
    assert [path.name for path in tmp_path.iterdir()] == [SAMPLES]
    # The network was not trained, so the embeddings before and after are equal. Distances equal those of the features.
    assert found["source_before"].shape == (EMBEDDED, min(DIRECTIONS, 8))
    assert np.allclose(found["source_before"], found["source_after"], atol=2e-3)
    both = np.concatenate([samples._before[role].numpy() for role in domains])
    principal = PCA(8).fit_transform(both)
    ours = np.concatenate([found[f"{role}_before"] for role in domains]).astype(float)
    scale = np.abs(principal).max()
    assert np.allclose(pdist(ours), pdist(principal) / scale, atol=5e-3)


def test_the_pictures_are_the_most_confident_mistakes(network, domains, tmp_path):
    labels = domains["target"].splits["test"].labels.open("to judge")
    logits = {role: torch.randn(len(domain.splits["test"].inputs), 3) for role, domain in domains.items()}
    found, _ = kept(network, domains, tmp_path, logits)
    confidence, predicted = softmax(logits["target"], 1).max(1)
    wrong = [i for i in confidence.argsort(descending=True).tolist() if predicted[i] != labels[i]]
    assert found["target_mistakes"].tolist() == wrong[:PICTURES]
    pictures = found["target_pictures"]
    assert pictures.dtype == np.uint8
    raw = domains["target"].splits["test"].inputs.read(torch.tensor(wrong[:PICTURES]), None)[0]
    assert (pictures[..., 0] == raw[:, 0].numpy()).all()
    assert max(pictures.shape[1:3]) <= PIXELS


def test_the_pictures_of_a_regression_are_the_largest_errors(tiny, tmp_path):
    tiny("source=noon_regression", "target=dusk_regression", "strategy=source_only")
    found, outputs = read_arrays(tmp_path / "run" / SAMPLES), read_arrays(tmp_path / "run" / OUTPUTS)
    y, spread = outputs["target_labels"], np.nanstd(outputs["target_labels"], 0)
    errors = np.nanmean(np.abs(outputs["target_logits"] - y) / spread, 1)
    assert found["target_mistakes"].tolist() == np.argsort(-errors, kind="stable")[:PICTURES].tolist()
    shown = detail(Run(tmp_path / "run", Record.read(tmp_path / "run"), None))
    assert shown.mistakes_title == "Largest errors"
    assert len(shown.mistakes) == len(found["target_pictures"]) == PICTURES
    worst = int(np.argmax(errors))
    assert shown.mistakes[0].label == "; ".join(significant(float(v)) for v in y[worst] if not np.isnan(v))
    assert shown.mistakes[0].how.startswith("error ")


def test_a_run_without_mistakes_keeps_no_pictures(network, domains, tmp_path):
    labels = {role: domain.splits["test"].labels.open("to cheat") for role, domain in domains.items()}
    found, _ = kept(network, domains, tmp_path, {role: 9 * torch.eye(3)[values] for role, values in labels.items()})
    assert "target_pictures" not in found
    assert found["target_mistakes"].tolist() == []


@pytest.mark.parametrize("strategy", ["dsbn", "tent", "mcd", "adda"])
def test_strategies_with_their_own_networks_save_samples(strategy, tiny, tmp_path):
    tiny(f"strategy={strategy}", *([f"start.cache={tmp_path}"] if strategy in ("tent", "adda") else []))
    found, outputs = read_arrays(tmp_path / "run" / SAMPLES), read_arrays(tmp_path / "run" / OUTPUTS)
    assert found["target_before"].shape == found["target_after"].shape
    assert found["target_positions"].max() < len(outputs["target_labels"])


def test_domains_of_vectors_have_embeddings_but_no_pictures(tmp_path):
    from landbridge.data.formats import VectorFormat
    from landbridge.data.inputs import TensorInputs
    from landbridge.data.split_domain import split_domain
    from landbridge.models.backbones.small import MLP

    torch.manual_seed(0)
    labels = torch.arange(60) % 3
    domain = split_domain("v", ("a", "b", "c"), TensorInputs(torch.randn(60, 5)), labels)
    network = Network(MLP(shape=(5,)), 3)
    samples = Samples(network, {"target": domain}, VectorFormat(5), CPU, unknown)
    inputs = domain.splits["test"].inputs
    n = len(inputs)
    samples.keep("target", inputs, torch.randn(n, 7), torch.randn(n, 3), torch.zeros(n, dtype=torch.long))
    samples.write(tmp_path)
    assert set(read_arrays(tmp_path / SAMPLES)) == {"target_positions", "target_before", "target_after"}
