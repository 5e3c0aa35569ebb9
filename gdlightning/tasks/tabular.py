"""Tasks on tables."""

from __future__ import annotations

from gdlightning.tasks.supervised import Classification, Regression

__all__ = ["TabularClassification", "TabularRegression"]


class TabularClassification(Classification):
    """The class of a row; accuracy, macro F1, AUROC."""

    default_net = "mlp"


class TabularRegression(Regression):
    """A number for a row; RMSE, MAE and R² in the target's unit."""

    default_net = "mlp"
