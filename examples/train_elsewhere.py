"""A run's images and labels in a training loop of one's own: python train_elsewhere.py runs/photos."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from tagweave import ImageDataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()

    torch.manual_seed(0)
    images = ImageDataset.of_run(given.run, split="train", size=32)
    network = nn.Sequential(nn.Conv2d(3, 16, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network.append(nn.Linear(16, len(images.labels.names)))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    for epoch in range(1, given.epochs + 1):
        total = 0.0
        for pixels, targets, known in DataLoader(images, batch_size=32, shuffle=True):
            losses = nn.functional.binary_cross_entropy_with_logits(network(pixels / 255), targets, reduction="none")
            loss = losses[known].sum() / max(int(known.sum()), 1)  # unknown cells pull at nothing
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        print(f"epoch {epoch}: loss {total:.3f}")


if __name__ == "__main__":
    main()
