"""Nets and tasks by name."""

from __future__ import annotations

from gdlightning.discovery import Catalogue

NETS = Catalogue("gdlightning.nets", "net", base="torch.nn:Module")
TASKS = Catalogue("gdlightning.tasks", "model", base="lightning.pytorch:LightningModule")
