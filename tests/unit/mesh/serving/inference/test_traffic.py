"""When a photo counts as alone: on this machine, for the last second, and never because of a process that died."""

from pathlib import Path

from mesh.serving.inference.traffic import CALM_SECONDS, LONGEST_SECONDS, Traffic


class Clock:
    """Seconds that a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def first(slots: int) -> int:
    """Draws the first slot."""
    return 0


def last(slots: int) -> int:
    """Draws the last one."""
    return slots - 1


def test_one_photo_is_alone() -> None:
    traffic = Traffic(clock=Clock())
    assert traffic.is_alone()
    with traffic.photo():
        assert traffic.is_alone()
    with traffic.photo():
        assert traffic.is_alone()


def test_after_two_at_once_a_gap_does_not_make_one_alone() -> None:
    clock = Clock()
    traffic = Traffic(clock=clock)
    with traffic.photo(), traffic.photo():
        assert not traffic.is_alone()
    with traffic.photo():
        clock.now += CALM_SECONDS / 2
        assert not traffic.is_alone()
        clock.now += CALM_SECONDS
        assert traffic.is_alone()


def test_two_that_met_while_nobody_looked_count_too() -> None:
    traffic = Traffic(clock=Clock())
    with traffic.photo():
        with traffic.photo():
            pass
        assert not traffic.is_alone()


def test_a_photo_of_another_service_counts_until_a_second_after_its_end(tmp_path: Path) -> None:
    clock = Clock()
    here, there = Traffic(tmp_path, clock=clock, draw=first), Traffic(tmp_path, clock=clock, draw=last)
    with here.photo():
        assert here.is_alone()
        with there.photo():
            assert not here.is_alone()
            assert not there.is_alone()
        clock.now += CALM_SECONDS / 2
        assert not here.is_alone()
        clock.now += 2 * CALM_SECONDS
        assert here.is_alone()


def test_a_service_that_died_with_a_photo_is_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    here, dead = Traffic(tmp_path, clock=clock, draw=first), Traffic(tmp_path, clock=clock, draw=last)
    dead.photo().__enter__()
    clock.now += 0.5
    assert not here.is_alone()
    clock.now += LONGEST_SECONDS + 2 * CALM_SECONDS
    assert here.is_alone()


def test_a_moment_of_another_machines_clock_is_none(tmp_path: Path) -> None:
    far = Clock()
    far.now = 1e6
    here = Traffic(tmp_path, clock=Clock(), draw=first)
    with Traffic(tmp_path, clock=far, draw=last).photo():
        assert here.is_alone()


def test_where_nothing_can_be_shared_a_service_knows_its_own_photos(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    traffic = Traffic(tmp_path / "cache", clock=Clock())
    with traffic.photo():
        assert traffic.is_alone()
        with traffic.photo():
            assert not traffic.is_alone()
