"""A leak, a drift and a failure are noticed; noise is not."""

import numpy as np
import pytest

from bench.load import Measurement
from bench.soak import drift, minutes_of, slope_per_hour, verdict

SECONDS = list(np.arange(0, 1200, 5.0))


def test_slope_is_that_of_the_second_half() -> None:
    values = [100e6 * min(1.0, second / 300) + 2_000 * max(0.0, second - 600) for second in SECONDS]
    assert slope_per_hour(SECONDS, values) == pytest.approx(2_000 * 3600, rel=1e-3)


def loop(slow_down: float) -> Measurement:
    ended = list(np.linspace(1, 1200, 400))
    return Measurement(1200, [0.1 * (slow_down if second > 900 else 1) for second in ended], ended)


def test_drift_compares_the_last_quarter() -> None:
    assert drift(loop(1.5)) == pytest.approx(1.5)
    assert drift(loop(1.0)) == pytest.approx(1.0)


def test_minutes() -> None:
    points = minutes_of(loop(2.0))
    assert len(points) == 21
    assert points[0][0] == 0.5
    assert points[0][1] == pytest.approx(100)
    assert points[-1][1] == pytest.approx(200)


def test_verdict() -> None:
    memory = [{"process": "clip", "end_mb": 1000.0, "slope_mb_per_hour": 5.0}]
    loads = [{"family": "clip", "errors": 0, "drift": 1.1}]
    assert verdict(memory, loads, hours=1 / 3) == []
    leaking = [{"process": "clip", "end_mb": 1000.0, "slope_mb_per_hour": 90.0}]
    failing = [{"family": "ocr", "errors": 2, "drift": 1.6}]
    assert verdict(leaking, failing, hours=1 / 3) == [
        "memory of clip grows by 90 MB per hour",
        "2 ocr requests failed",
        "ocr became 1.60 times as slow",
    ]
