"""Centres move as the published codes move them, whatever the weight of the loss."""

import torch

from reseen.losses import CenterLoss


def test_centres_move_by_sgd_on_the_unweighted_loss() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(6, 3), torch.tensor([0, 0, 1, 1, 1, 2])
    loss = CenterLoss(4, 3)
    before = loss.weight.detach().clone()
    weight = 0.0005
    optimiser = torch.optim.SGD(loss.parameters(), lr=loss.learning_rate / weight)
    (weight * loss(x, y)).backward()
    optimiser.step()
    for identity in range(4):
        pull = sum(2 * (before[identity] - x[i]) / len(y) for i in range(6) if y[i] == identity)
        torch.testing.assert_close(loss.weight[identity].detach(), before[identity] - 0.5 * pull)
