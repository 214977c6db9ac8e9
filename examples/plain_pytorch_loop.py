"""Losses of reseen in a plain PyTorch loop that knows nothing else of it.

Any network, any data, any optimiser: a loss takes features and identities, in whatever order the batch has them.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from reseen.losses import AdaSPLoss, FIDILoss


def pictures(num_identities: int, num_images: int) -> TensorDataset:
    """Return noisy pictures (N, 1, 16, 8) of identities that differ in a pattern, and who they show."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.randn(num_identities, 1, 16, 8, generator=generator)
    identities = torch.arange(num_identities).repeat_interleave(num_images)
    noise = torch.randn(len(identities), 1, 16, 8, generator=generator)
    return TensorDataset(patterns[identities] + 1.5 * noise, identities)


def main(epochs: int = 8) -> dict[str, float]:
    torch.manual_seed(0)
    found = {}
    for metric in (FIDILoss(alpha=1.05, beta=0.5), AdaSPLoss(temperature=0.04)):
        backbone = nn.Sequential(nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32))
        classifier = nn.Sequential(nn.BatchNorm1d(32), nn.Linear(32, 24, bias=False))
        optimizer = torch.optim.Adam([*backbone.parameters(), *classifier.parameters()], lr=3e-3)
        loader = DataLoader(pictures(24, 16), batch_size=64, shuffle=True)
        for _ in range(epochs):
            for images, identities in loader:
                features = backbone(images)
                loss = nn.functional.cross_entropy(classifier(features), identities) + metric(features, identities)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        images, identities = loader.dataset.tensors
        with torch.no_grad():
            distances = torch.cdist(backbone(images), backbone(images)).fill_diagonal_(torch.inf)
        name = type(metric).__name__
        found[name] = (identities[distances.argmin(1)] == identities).float().mean().item()
        print(f"{name}: the nearest other image shows the same identity for {found[name]:.0%}")
    return found


if __name__ == "__main__":
    main()
