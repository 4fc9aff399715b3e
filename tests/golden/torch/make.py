"""Make the golden state dicts again, with torch at hand: `python tests/golden/torch/make.py`.

A small network with every kind of layer that is imported, written by torch itself: as a checkpoint with its optimiser's
state in the zip format, as one in the format before torch 1.6 with a kernel laid out channels last, and its logits.
"""

import json
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


def network() -> nn.Module:
    """Return the network: (n, 3, 8, 8) -> (n, 1)."""
    names: OrderedDict[str, nn.Module] = OrderedDict(
        _conv_stem=nn.Conv2d(3, 4, 3, padding=1, bias=False),
        _bn0=nn.BatchNorm2d(4),
        blocks=nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.BatchNorm2d(4))),
        pool=nn.AdaptiveAvgPool2d(1),
        flat=nn.Flatten(),
        fc=nn.Linear(4, 1),
    )
    return nn.Sequential(names)


def main() -> None:
    """Train two steps on noise, so that no array is as it was initialised, and write."""
    torch.manual_seed(5)
    model = network()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    pictures = torch.randint(0, 256, (4, 3, 8, 8)).float()
    for _ in range(2):
        optimiser.zero_grad()
        model(pictures / 255).square().sum().backward()
        optimiser.step()
    model.eval()
    checkpoint = {"model": model.state_dict(), "optimizer": optimiser.state_dict(), "total_steps": 2}
    torch.save(checkpoint, HERE / "checkpoint.pth")
    old = model.state_dict()
    old["_conv_stem.weight"] = old["_conv_stem.weight"].contiguous(memory_format=torch.channels_last)
    torch.save(old, HERE / "old.pth", _use_new_zipfile_serialization=False)
    told = {"pictures": pictures.permute(0, 2, 3, 1).tolist(), "logits": model(pictures / 255)[:, 0].tolist()}
    (HERE / "logits.json").write_text(json.dumps(told) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
