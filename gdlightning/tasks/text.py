"""Tasks on texts."""

from __future__ import annotations

from gdlightning.tasks.supervised import Classification

__all__ = ["TextClassification"]


class TextClassification(Classification):
    """The class of a text; accuracy, macro F1, AUROC."""

    default_net = "bag-of-words"
