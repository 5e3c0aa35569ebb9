"""Tasks on texts."""

from __future__ import annotations

from gdlightning.tasks.supervised import Classification

__all__ = ["TextClassification"]


class TextClassification(Classification):
    """Classification of texts; accuracy, macro F1 and AUROC."""

    default_net = "bag-of-words"
