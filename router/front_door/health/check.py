"""What one look found, and how to mend it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """One line about Immich or its database.

    Attributes:
        subject: what was looked at, one word or two.
        ok: whether it is as it should be; None where nobody can tell.
        text: what was seen.
        remedy: what to do; empty when nothing is to be done.
    """

    subject: str
    ok: bool | None
    text: str
    remedy: str = ""
