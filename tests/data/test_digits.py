"""The digits are scikit-learn's, and scikit-learn is not imported for them."""

from __future__ import annotations

import subprocess
import sys

import torch
from sklearn.datasets import load_digits

from gdlightning.data.digits import digits


def test_they_are_what_scikit_learn_loads() -> None:
    images, classes = digits()
    found = load_digits()
    assert torch.equal(images, torch.from_numpy(found.images))
    assert torch.equal(classes, torch.from_numpy(found.target).long())


def test_they_cost_no_import_of_scikit_learn() -> None:
    program = (
        "import sys; from gdlightning.data.digits import digits; digits(); "
        "sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
