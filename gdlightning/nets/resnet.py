"""A small residual network for images of any size.

Shapes: B images, C channels, H × W pixels.
"""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["ResNet"]
NAMES = {"ResNet": "resnet"}


class Residual(nn.Module):
    """Residual block of two 3×3 convolutions, [B, C, H, W] → [B, D, H / s, W / s].

    Args:
        channels: number of input channels C.
        width: number of output channels D.
        stride: stride s of the first convolution.
    """

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.act = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != width:
            conv = nn.Conv2d(channels, width, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(width))
        nn.init.zeros_(self.norm2.weight)  # blocks start as their shortcut (He et al. 2019)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out = self.norm2(self.conv2(self.act(self.norm1(self.conv1(x)))))
        result: Tensor = self.act(out + self.shortcut(x))
        return result


class ResNet(nn.Module):
    """Residual network (He et al. 2015, arXiv:1512.03385) for images of any size.

    The stem keeps the resolution. Each later stage halves it and doubles the number of channels.
    The output layer reads the mean over all pixels.

    Args:
        channels: number of image channels C.
        outputs: number of outputs, such as classes.
        width: number of channels of the first stage.
        blocks: number of residual blocks per stage; if None, one in each of three stages.
        dropout: dropout probability of the pooled features.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        width: int = 32,
        blocks: list[int] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        layers: list[nn.Module] = []
        before = width
        for stage, count in enumerate(blocks or [1, 1, 1]):
            size = width * 2**stage
            for k in range(count):
                layers.append(Residual(before, size, stride=2 if stage and not k else 1))
                before = size
        self.stages = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(before, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits [B, outputs] for images [B, C, H, W]."""
        features = self.stages(self.stem(images)).mean(dim=(2, 3))
        logits: Tensor = self.head(self.dropout(features))
        return logits
