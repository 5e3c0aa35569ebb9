"""Pages rendered in a real browser."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

CHROMIUM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), ""
)
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="chromium is not installed")


def shown(text: str, folder: Path, *, dark: bool = False) -> tuple[NDArray[Any], list[str]]:
    """Return the pixels of a page, uint8 [height, width, 3], and the errors of its scripts."""
    from PIL import Image

    page, shot = folder / "page.html", folder / f"shot-{dark}.png"
    page.write_text(text, encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--enable-logging=stderr",
        "--v=0",
        "--virtual-time-budget=6000",
        "--window-size=1000,1100",
        f"--user-data-dir={folder / 'profile'}",
        f"--screenshot={shot}",
        page.as_uri(),
    ]
    if dark:
        command.insert(1, "--blink-settings=preferredColorScheme=0")
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return np.asarray(Image.open(shot).convert("RGB")), complaints


def colourful(pixels: NDArray[Any]) -> float:
    """Return the fraction of pixels with a hue."""
    spread = pixels.max(axis=2).astype(int) - pixels.min(axis=2)
    return float((spread > 40).mean())
