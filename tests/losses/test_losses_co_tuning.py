import torch

from landbridge.losses import class_relationship


def test_each_row_is_the_mean_prediction_of_its_class(draw):
    probabilities, y = draw(9, 4).softmax(1), torch.tensor([0, 2, 2, 0, 3, 2, 0, 0, 3])
    table = class_relationship(probabilities, y, 4)
    torch.testing.assert_close(table.sum(1), torch.ones(4, dtype=torch.float64))
    for label in (0, 2, 3):
        torch.testing.assert_close(table[label], probabilities[y == label].mean(0))
    torch.testing.assert_close(table[1], torch.full((4,), 0.25, dtype=torch.float64))


def test_equal_source_and_target_classes_give_the_identity():
    y = torch.arange(12) % 3
    assert class_relationship(torch.eye(3)[y], y, 3).equal(torch.eye(3))
