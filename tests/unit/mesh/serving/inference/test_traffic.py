"""When a photo counts as alone, and who may use how many cores: never because of a process that died."""

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


def test_services_share_the_cores_by_what_each_has_to_do(tmp_path: Path) -> None:
    clock = Clock()
    ocr, clip = Traffic(tmp_path, clock=clock, draw=first), Traffic(tmp_path, clock=clock, draw=last)
    with ocr.photo(), clip.photo():
        ocr.has_work(12)
        clip.has_work(4)
        assert (ocr.share(8), clip.share(8)) == (6, 2)
        assert (ocr.share(2), clip.share(2)) == (2, 1)  # nobody stands still
        clip.has_work(0)
        assert ocr.share(8) == 8


def test_where_there_is_less_to_do_than_cores_each_may_use_them_all(tmp_path: Path) -> None:
    clock = Clock()
    ocr, clip = Traffic(tmp_path, clock=clock, draw=first), Traffic(tmp_path, clock=clock, draw=last)
    with ocr.photo(), clip.photo():
        ocr.has_work(6)
        clip.has_work(1)
        assert (ocr.share(8), clip.share(8)) == (8, 8)


def test_the_work_of_a_service_that_died_is_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    here, dead = Traffic(tmp_path, clock=clock, draw=first), Traffic(tmp_path, clock=clock, draw=last)
    dead.photo().__enter__()
    dead.has_work(3)
    here.has_work(1)
    assert here.share(4) == 4
    here.has_work(3)
    assert here.share(4) == 2
    clock.now += LONGEST_SECONDS + 1
    assert here.share(4) == 4


def test_it_is_calm_when_no_photo_is_under_way_nor_was_just_now(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (Traffic(tmp_path, clock=clock, draw=draw) for draw in (first, last))
    assert one.is_calm()
    with other.photo():
        assert not one.is_calm()
        assert not other.is_calm()
    assert not one.is_calm()
    assert not other.is_calm()
    clock.now += CALM_SECONDS + 0.1
    assert one.is_calm()
    assert other.is_calm()


def test_a_long_photo_of_this_service_is_no_calm() -> None:
    clock = Clock()
    traffic = Traffic(clock=clock)
    with traffic.photo():
        clock.now += 10 * LONGEST_SECONDS
        assert not traffic.is_calm()
