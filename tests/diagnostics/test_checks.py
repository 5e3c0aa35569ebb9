"""Each finding is made where its signs are, and not where they are not."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from instruments import FALLING, lines

from gdlightning.diagnostics.checks.batch_size import noise_scale
from gdlightning.diagnostics.diagnose import as_markdown, as_text, diagnose
from gdlightning.diagnostics.run_record import RunRecord
from gdlightning.diagnostics.verdict import Verdict, in_order


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [v.name for v in diagnose(RunRecord.of(rows))]


def test_a_healthy_training_has_nothing_against_it() -> None:
    assert names(lines(FALLING)) == ["lr-fine"]
    assert diagnose(RunRecord()) == []


@pytest.mark.parametrize(
    ("name", "losses", "measured"),
    [
        ("diverged", [*FALLING[:200], *[math.nan] * 100], {}),
        ("diverged", [*FALLING[:100], *(50.0 * k for k in range(200))], {}),
        ("dead-units", FALLING, {"dead": {"act": 0.95}}),
        ("vanishing-gradients", FALLING, {"grads": [1e-5, 1e-3, 1.0]}),
        ("exploding-at-start", [1e4, *FALLING], {"grad_norm": 1e6}),
        ("clip-always", FALLING, {"clipped": 1.0}),
        ("clip-never", FALLING, {"clipped": 0.0}),
        ("decay-on-vectors", FALLING, {"decayed": ["a.bias"]}),
        ("plateau", [2.0] * 300, {}),
        ("plateau", [2.0] * 150 + [1.0] * 150, {}),
        ("lr-too-small", [2.0 - k * 1e-4 for k in range(300)], {"gain": 1.0, "promised": -1e-4}),
        ("lr-too-large", [2.0] * 300, {"gain": -0.5, "promised": -1.0}),
        ("constant-input", FALLING, {"data": {"constant": 4, "features": 4}}),
        ("leak-between-splits", FALLING, {"data": {"shared": {"val": 0.3}}}),
        ("repeated-rows", FALLING, {"data": {"repeated": 0.3}}),
        (
            "warmup-missing",
            [2.0, 2.0, 2.6, 2.6, *FALLING],
            {"gain": lambda step: -1.0 if step == 10 else 0.8},
        ),
    ],
)
def test_what_the_signs_say_is_found(
    name: str, losses: list[float], measured: Mapping[str, Any]
) -> None:
    assert name in names(lines(losses, **measured))


def test_spikes_are_told_with_their_examples() -> None:
    rows = lines(FALLING)
    rows[5]["spikes"] = [{"step": 41, "loss": None, "typical": 1.0, "examples": [3, 9]}]
    rows[9]["spikes"] = [{"step": 83, "loss": 20.0, "typical": 1.0, "examples": [9, 4]}]
    (found,) = [v for v in diagnose(RunRecord.of(rows)) if v.name == "loss-spikes"]
    assert "step 41" in found.title
    assert "examples 9, 4" in found.evidence[1]


@pytest.mark.parametrize(("every", "bad"), [(30, True), (97, False)])
def test_examples_that_spoil_each_of_their_batches_are_named(every: int, bad: bool) -> None:
    rows = lines(FALLING, data={"examples": {"train": 960}})  # thirty batches of 32
    for step in range(40, 300, every):
        spike = {"step": step, "loss": 50.0, "typical": 1.0, "examples": [7, step]}
        rows[1 + step // 10].setdefault("spikes", []).append(spike)
    found = {v.name: v for v in diagnose(RunRecord.of(rows))}
    assert ("bad-examples" in found) == bad
    if bad:
        assert found["bad-examples"].title.endswith("repeatedly: 7.")
        assert found["bad-examples"].severity == "fault"
        assert found["loss-spikes"].because == "bad-examples"


def test_examples_that_are_merely_hard_are_no_fault() -> None:
    rows = lines([2.0 * 0.98**k for k in range(300)], data={"examples": {"train": 960}})
    for step in range(130, 300, 30):
        spike = {"step": step, "loss": 0.5, "typical": 0.01, "examples": [7, step]}
        rows[1 + step // 10].setdefault("spikes", []).append(spike)
    (told,) = [v for v in diagnose(RunRecord.of(rows)) if v.name == "bad-examples"]
    assert told.severity == "warning"


@pytest.mark.parametrize(
    ("last", "name", "severity"),
    [(2.0, "overfitting", "warning"), (1.2, "overfitting", "note"), (1.02, "", "")],
)
def test_overfitting_by_how_far_the_validation_loss_rose(
    last: float, name: str, severity: str
) -> None:
    rows = lines(FALLING)
    for k, loss in enumerate([1.8, 1.2, 1.0, 1.1, *[last] * 6]):
        rows.append({"step": 30 * k + 29, "val": {"val_loss": loss}})
    found = [v for v in diagnose(RunRecord.of(rows)) if v.name == "overfitting"]
    assert [(v.name, v.severity) for v in found] == ([(name, severity)] if name else [])


def test_targets_that_inputs_do_not_tell_are_the_root_of_overfitting() -> None:
    rows = lines(FALLING, data={"entropy": 1.0, "examples": {"val": 400}})
    for k, loss in enumerate([1.0, 1.0, 1.5, 2.0, 2.0, 2.5]):
        rows.append({"step": 50 * k + 9, "val": {"val_loss": loss}})
    found = {v.name: v for v in diagnose(RunRecord.of(rows))}
    assert found["nothing-carries-over"].because == ""
    assert found["overfitting"].because == "nothing-carries-over"


@pytest.mark.parametrize("scale", [10.0, 100.0, 1000.0])
def test_the_noise_scale_of_known_noise_is_told_to_an_order_of_magnitude(scale: float) -> None:
    # Of gradients g + noise, the expected product of neighbours is ‖g‖², and their squares are
    # ‖g‖² (1 + scale / batch).
    rows = lines(FALLING, every=5)
    square = 1 + scale / 32
    rows += [{"step": k, "alike": [1.0, square, square]} for k in range(0, 300, 5)]
    found = noise_scale(RunRecord.of(rows))
    assert found is not None
    assert 0.5 < found / scale < 2


def test_noise_that_hides_the_gradient_is_unknown() -> None:
    rows = lines(FALLING, every=5)
    rows += [{"step": k, "alike": [(-1) ** k * 0.1, 1.0, 1.0]} for k in range(0, 300, 5)]
    assert noise_scale(RunRecord.of(rows)) is None


def measured(value: float) -> dict[str, Any]:
    return {"value": value, "bound": 0.0, "sampling": None, "converged": True}


@pytest.mark.parametrize(
    ("bottom", "gradient", "losses", "severity"),
    [
        (-1.0, 1e-3, [2.0] * 300, "warning"),
        (-1.0, 1e-3, FALLING, "note"),
        (-0.01, 1e-3, [2.0] * 300, ""),
        (-1.0, 10.0, [2.0] * 300, ""),
    ],
)
def test_a_saddle_is_negative_curvature_with_a_small_gradient(
    bottom: float, gradient: float, losses: list[float], severity: str
) -> None:
    record = RunRecord.of(lines(losses))
    record.curvature = {
        "top": [measured(2.0)],
        "bottom": [measured(bottom)],
        "gradient_norm": gradient,
        "loss": losses[-1],
        "stability": None,
    }
    found = {v.name: v for v in diagnose(record)}
    assert (found["saddle"].severity if "saddle" in found else "") == severity
    if severity == "warning":
        assert found["plateau"].because == "saddle"


@pytest.mark.parametrize(
    ("product", "name"), [(1.9, "edge-of-stability"), (1.0, ""), (0.02, "flat-minimum")]
)
def test_sharpness_is_told_by_the_stability_limit(product: float, name: str) -> None:
    record = RunRecord.of(lines(FALLING))
    stands = {"at_peak": measured(product), "limit": 2.0, "formula": "2"}
    record.curvature = {
        "top": [measured(20.0)],
        "bottom": [measured(-0.1)],
        "gradient_norm": 1.0,
        "loss": 0.1,
        "stability": stands,
        "optimizer": "sgd",
        "adaptive_sharpness": measured(3.0),
    }
    names = {v.name for v in diagnose(record)} & {"edge-of-stability", "flat-minimum"}
    assert names == ({name} if name else set())


def test_root_causes_come_first() -> None:
    def verdict(name: str, severity: Any, *symptoms: str) -> Verdict:
        return Verdict(name, severity, "", (), symptoms=symptoms)

    found = in_order(
        [
            verdict("plateau", "warning"),
            verdict("lr-too-small", "warning", "plateau"),
            verdict("dead-units", "fault", "plateau", "lr-too-small"),
        ]
    )
    assert found[0].name == "dead-units"
    assert [v.because for v in found] == ["", "dead-units", "dead-units"]


@pytest.mark.parametrize(
    ("losses", "root"),
    [
        ([1.0 - 1e-4 * k for k in range(300)], "lr-too-small"),
        ([*[1.0 - 1e-5 * k for k in range(220)], *[1.0 - 0.01 * k for k in range(80)]], "plateau"),
    ],
)
def test_a_plateau_that_the_same_rate_left_is_the_root(losses: list[float], root: str) -> None:
    rows = lines(losses, gain=0.999, update_ratio=1e-4, promised=-1e-4)
    found = diagnose(RunRecord.of(rows))
    because = {v.name: v.because for v in found if v.name in ("plateau", "lr-too-small")}
    other = next(name for name in because if name != root)
    assert because == {root: "", other: root}


def test_a_gain_that_rounding_hides_is_none() -> None:
    rows = lines(FALLING, promised=-1e-7)
    assert RunRecord.of(rows).gains == []


number = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False, width=32))


@given(
    losses=st.lists(number, max_size=80),
    measured=st.fixed_dictionaries(
        {
            "gain": number,
            "promised": st.floats(-1e6, 1e6),
            "grad_norm": number,
            "update_ratio": number,
            "clipped": st.one_of(st.none(), st.floats(0, 1)),
            "lr": st.one_of(st.none(), st.floats(0, 10)),
            "grads": st.lists(st.floats(0, 1e30), min_size=3, max_size=3),
            "weights": st.lists(st.floats(0, 1e30), min_size=3, max_size=3),
        }
    ),
)
def test_whatever_was_measured_gives_verdicts_as_text(
    losses: list[float | None], measured: dict[str, Any]
) -> None:
    rows = lines([math.nan if v is None else v for v in losses], **measured)
    found = diagnose(RunRecord.of(rows))
    text = " ".join(as_text(found).split())
    for verdict in found:
        assert " ".join(verdict.title.split()) in text
        assert verdict.title in as_markdown(found)


@pytest.mark.parametrize("write", [as_text, as_markdown])
def test_advice_is_printed_before_evidence(write: Callable[[list[Verdict]], str]) -> None:
    verdict = Verdict("clip-never", "note", "Title.", ("Evidence.",), ("Set --clip none.",))
    parts = ["Title.", "Set --clip none.", "Evidence."]
    text = write([verdict])
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)


def test_advice_on_the_learning_rate_names_the_flag_and_the_confidence() -> None:
    rows = lines([2.0] * 300, gain=-0.5, promised=-1.0, lr=3.0)
    (found,) = [v for v in diagnose(RunRecord.of(rows)) if v.name == "lr-too-large"]
    assert found.advice[0] == "Set --optimizer.lr 1."
    assert re.fullmatch(r"Confidence \d+% \(calibrated on other tasks\)\.", found.evidence[-1])


@given(st.floats(25.0, 1e6), st.floats(0.9, 1.0))
def test_a_rate_that_blew_the_loss_up_is_never_too_small(height: float, gain: float) -> None:
    """What follows crawls, as after steps that are too small: far away everything is flat."""
    crawl = [1.0 - 1e-4 * k for k in range(300)]
    blown = [1.0, *[height * v for v in crawl[1:]]]
    measured: dict[str, Any] = {"gain": gain, "update_ratio": 1e-6, "promised": -1e-6}
    assert "lr-too-small" in names(lines(crawl, **measured))
    assert "lr-too-small" not in names(lines(blown, **measured))
