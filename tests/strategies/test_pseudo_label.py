import pytest
import torch
from small_problem import CLASSES, loss, loss_of, of_term, output, parts


def streams():
    logits = torch.tensor([[9.0, 0, 0], [0, 9.0, 0], [1.0, 0, 0], [0, 0, 0]], requires_grad=True)
    features = torch.zeros(4, 6)
    source = output("source", features, torch.zeros(4, CLASSES), torch.zeros(4, dtype=torch.long))
    return source, output("target_unlabelled", features, logits)


def test_only_confident_samples_have_a_pseudo_label():
    source, target = streams()
    terms = loss_of(of_term("pseudo_label", progress=1.0, threshold=0.9), source, target)
    (gradient,) = torch.autograd.grad(terms["+pseudo_label"], target.logits)
    assert gradient[:2].any(dim=1).all()
    assert not gradient[2:].any()
    assert (gradient[0, 0] < 0) & (gradient[1, 1] < 0)
    expected = 2 * (-torch.log_softmax(target.logits[0], 0)[0]) / 4
    assert terms["+pseudo_label"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_with_threshold_one_and_at_the_beginning_the_loss_is_zero():
    assert loss_of(of_term("pseudo_label", progress=1.0, threshold=1.0), *streams())["+pseudo_label"] == 0
    assert loss_of(of_term("pseudo_label", progress=0.0, threshold=0.0), *streams())["+pseudo_label"] == 0
    assert loss_of(of_term("pseudo_label", progress=0.5, threshold=0.0), *streams())["+pseudo_label"] > 0


def test_pseudo_labels_train_the_whole_network():
    from small_problem import batches

    strategy = of_term("pseudo_label", progress=0.5, threshold=0.0)
    assert parts(strategy, loss(strategy, batches())["+pseudo_label"]) == {"backbone", "head"}
