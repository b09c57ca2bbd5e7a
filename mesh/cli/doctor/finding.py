"""What a check found, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a finding is."""

    GOOD = "good"
    NOTE = "note"
    """Worth knowing; works."""
    BAD = "bad"
    """Something will not work until it is mended."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        verdict: how it is.
        subject: what was looked at, e.g. `onnxruntime`.
        text: what was seen.
        remedy: what to do; empty when nothing is to be done.
    """

    verdict: Verdict
    subject: str
    text: str
    remedy: str = ""


def good(subject: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(Verdict.GOOD, subject, text)


def note(subject: str, text: str, remedy: str = "") -> Finding:
    """Works, with something to know."""
    return Finding(Verdict.NOTE, subject, text, remedy)


def bad(subject: str, text: str, remedy: str) -> Finding:
    """Does not work until it is mended."""
    return Finding(Verdict.BAD, subject, text, remedy)
