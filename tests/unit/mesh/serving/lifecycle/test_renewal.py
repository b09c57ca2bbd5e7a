"""When a process replaces itself, and what the next one is left."""

import os
from pathlib import Path

from mesh.serving.lifecycle.renewal import VARIABLE, WORTHWHILE_BYTES, Renewal, Renewed

YOUNG = 100_000_000


class Process:
    """What is known of one: its memory, and whether it holds a model."""

    def __init__(self, folder: Path) -> None:
        self.bytes, self.empty = YOUNG, True
        self.renewal = Renewal(lambda: self.empty, folder, resident=lambda: self.bytes)


def test_a_process_that_holds_more_than_when_it_was_young_is_replaced_once_it_has_no_model(tmp_path: Path) -> None:
    process = Process(tmp_path)
    assert not process.renewal.is_due()
    process.bytes, process.empty = YOUNG + WORTHWHILE_BYTES, False
    assert not process.renewal.is_due()
    process.empty = True
    assert process.renewal.is_due()


def test_services_are_away_one_after_the_other(tmp_path: Path) -> None:
    one, other = Process(tmp_path), Process(tmp_path)
    one.bytes = other.bytes = YOUNG + WORTHWHILE_BYTES
    assert one.renewal.is_due()
    assert not other.renewal.is_due()
    environment = {VARIABLE: str(one.renewal._turn)}  # as the next process finds it
    renewed = Renewed(environment)
    assert renewed
    assert not environment, "its own children are no such processes"
    assert not other.renewal.is_due()
    renewed.settled()
    assert other.renewal.is_due()


def test_a_folder_that_cannot_be_written_keeps_nobody_from_it(tmp_path: Path) -> None:
    process = Process(tmp_path / "none")
    process.bytes = YOUNG + WORTHWHILE_BYTES
    assert process.renewal.is_due()


def test_a_process_that_was_started_was_left_nothing() -> None:
    assert not Renewed({})
    assert not Renewed({"PATH": os.defpath})
