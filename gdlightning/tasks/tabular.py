"""Tasks on tabular data."""

from __future__ import annotations

from gdlightning.tasks.supervised import Classification, Regression

__all__ = ["TabularClassification", "TabularRegression"]


class TabularClassification(Classification):
    """Classification of rows; accuracy, macro F1 and AUROC."""

    default_net = "mlp"


class TabularRegression(Regression):
    """Regression on rows; RMSE, MAE and R² in the target's unit."""

    default_net = "mlp"
