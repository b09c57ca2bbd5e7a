"""The stages of a call add up to the call, whatever overlaps, and what comes over the wire is bounded."""

from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.core import stages

MS = 1_000_000
MOMENTS = st.integers(0, 10_000 * MS)


def test_computing_is_no_waiting_and_what_nothing_claims_is_other() -> None:
    call = stages.Stages(began_ns=0)
    call.add("decode", 10 * MS, 30 * MS)
    call.add(stages.QUEUE, 30 * MS, 60 * MS)  # one line waits
    call.add("recognition", 40 * MS, 50 * MS)  # while another is read
    call.add("recognition", 45 * MS, 70 * MS)
    told = call.seconds(100 * MS)
    assert told == pytest.approx({"decode": 0.02, "recognition": 0.03, "queue": 0.01, "other": 0.04})


@given(st.lists(st.tuples(st.sampled_from(["queue", "decode", "detection"]), MOMENTS, MOMENTS)), MOMENTS)
def test_stages_are_never_negative_and_add_up(times: list[tuple[str, int, int]], ended: int) -> None:
    call = stages.Stages(began_ns=0)
    latest = max([ended, *(end for _, _, end in times)])
    for stage, began, end in times:  # a clock that was put back gives an end before its beginning
        call.add(stage, began, end)
    told = call.seconds(latest)
    assert all(took >= 0 for took in told.values())
    assert sum(told.values()) == pytest.approx(latest / 1e9)


def test_nothing_is_noted_unless_somebody_asked() -> None:
    def asked() -> dict[str, float]:
        call = stages.measured()
        with stages.stage("decode"):
            pass
        stages.note("detection", 5, 9)
        return call.seconds(10)

    assert not stages.is_measured()
    stages.note("detection", 5, 9)
    assert "detection" in copy_context().run(asked)
    assert not stages.is_measured()


def test_a_header_value_is_read_back() -> None:
    value = stages.header_value({"decode": 0.0123, "queue": 0.0004})
    assert value == "decode;dur=12.3, queue;dur=0.4"
    assert stages.parsed(value) == pytest.approx({"decode": 0.0123, "queue": 0.0004})


@pytest.mark.parametrize(
    "entry",
    ["", "<b>;dur=1", "a b;dur=1", "a;dur=nan", "a;dur=1e9", "a;dur=-1", "a;dur=1;desc=x", "A;dur=1", "a;dur=\r\nx: 1"],
)
def test_what_is_no_stage_is_left_out(entry: str) -> None:
    assert stages.parsed(f"{entry}, decode;dur=1.0") == {"decode": 0.001}


def test_no_more_is_read_than_a_service_tells() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    assert len(stages.parsed(", ".join(f"{letter};dur=1" for letter in letters))) == stages.MAX_STAGES
    assert stages.parsed("a" * 100_000) == {}
    call = stages.Stages(began_ns=0)
    for letter in letters:
        call.add(letter, 0, MS)
    assert len(call.seconds(MS)) <= stages.MAX_STAGES
