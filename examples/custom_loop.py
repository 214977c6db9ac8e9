"""A training loop of one's own on the parts of reseen."""

import torch
from torch.utils.data import DataLoader

from reseen.datasets import Synthetic
from reseen.embedding.model import embed
from reseen.evaluation import evaluate
from reseen.loading import IdentityBatchSampler, ImageDataset, training_transform
from reseen.losses import AdaSPLoss, IdentityLoss
from reseen.models import Embedder, ModelSpec


def main(epochs: int = 8) -> float:
    torch.manual_seed(0)
    data = Synthetic(num_train_identities=20, num_test_identities=10, images_per_camera=2)
    model = Embedder(ModelSpec("osnet_x0_25", height=64, width=32))
    images = ImageDataset(data.train, training_transform((64, 32)), size=(64, 32))
    identity, metric = IdentityLoss(len(images.identities), model.dims["embedding"]), AdaSPLoss()
    optimizer = torch.optim.Adam([*model.parameters(), *identity.parameters()], lr=1e-3)
    batches = IdentityBatchSampler(identities=8, images=4).over(data.train)
    for epoch in range(epochs):
        batches.begin(epoch)
        for pictures, labels, _ in DataLoader(images, batch_sampler=batches):
            outputs = model(pictures)
            loss = identity(outputs.embedding, labels) + 0.1 * metric(outputs.feature, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")

    model.eval()
    report = evaluate(embed(model, data.query), embed(model, data.gallery), data.protocol)
    print(f"mAP {report.mean_ap:.1%}, rank-1 {report.cmc(1):.1%}")
    return report.mean_ap


if __name__ == "__main__":
    main()
