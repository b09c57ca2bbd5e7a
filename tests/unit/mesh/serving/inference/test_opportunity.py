"""When a graph is calibrated: later, alone, and again after ever longer pauses."""

from pathlib import Path

from mesh.serving.inference.calibration import Calibration
from mesh.serving.inference.opportunity import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    SETTLE_SECONDS,
    Opportunity,
)
from tests.clock import FakeClock

FOUND = Calibration(side_by_side_per_second=2.0, alone_narrow_seconds=1.0, alone_wide_seconds=0.6)


def test_others_may_be_starting_too(tmp_path: Path) -> None:
    clock = FakeClock()
    chance = Opportunity(tmp_path, clock=clock)
    assert not chance.is_due()
    clock.now += SETTLE_SECONDS
    assert chance.is_due()
    assert chance.take(lambda: FOUND) == FOUND


def test_a_busy_machine_is_tried_again_after_ever_longer_pauses(tmp_path: Path) -> None:
    clock = FakeClock()
    chance = Opportunity(tmp_path, clock=clock)
    pause = FIRST_PAUSE_SECONDS
    for _ in range(12):
        assert chance.take(lambda: None) is None
        clock.now += pause - 1
        assert not chance.is_due()
        clock.now += 1
        assert chance.is_due()
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def test_one_service_of_a_machine_measures_at_a_time(tmp_path: Path) -> None:
    clock = FakeClock()
    one, other = Opportunity(tmp_path, clock=clock), Opportunity(tmp_path, clock=clock)
    clock.now += SETTLE_SECONDS
    inside: list[Calibration | None] = []

    def measure() -> Calibration:
        inside.append(other.take(lambda: FOUND))
        return FOUND

    assert one.take(measure) == FOUND
    assert inside == [None]
    assert other.is_due(), "it was not tried yet"
    assert other.take(lambda: FOUND) == FOUND


def test_a_folder_that_cannot_be_written_keeps_nobody_from_it(tmp_path: Path) -> None:
    assert Opportunity(tmp_path / "none", clock=FakeClock()).take(lambda: FOUND) == FOUND
