"""Payloads that crash the services they are sent to: suspected, put on probation, refused once the evidence is there.

A payload in work when a process dies is a suspect and no more: whole nodes go, and others that were in work may be the
cause. A suspect is tried again alone (`Turn.PROBATION`). A crash counts against it only when nothing else explains it:

* the service itself said that this was its only call (`exclusive`: other routers' calls are excluded too),
* no endpoint of the cluster came or went for `quiet_seconds` before (`quiet`: so does whatever restarts them),
* another payload was answered by the same method since this one's last crash (so the service does work).

An answer clears a suspect. If crashes had been counted against it, something else kills endpoints at the moment, and
what was counted against others is worth nothing either.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from router.config import QuarantineSettings
from router.domain.requests import Content
from router.errors import QuarantinedPayloadError

MAX_REMEMBERED = 4096

V = TypeVar("V")


@dataclass(slots=True)
class _Suspect:
    """Attributes: `crashes` that count, `answers` of its method at its last crash, `until` when it is remembered."""

    crashes: int
    answers: int
    until: float


class Quarantine:
    """The suspects and the quarantined of one cluster."""

    def __init__(self, settings: QuarantineSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._suspects: OrderedDict[bytes, _Suspect] = OrderedDict()
        self._refused: OrderedDict[bytes, float] = OrderedDict()
        self._answers: dict[str, int] = {}
        # Most payloads differ in length from every remembered one and need not be hashed at all.
        self._lengths: set[int] = set()

    def __len__(self) -> int:
        return len(self._refused)

    def check(self, content: Content) -> None:
        """Raises QuarantinedPayloadError for a quarantined payload."""
        until = self._refused.get(content.digest) if self._knows(content) else None
        if until is None:
            return
        if self._clock() >= until:
            del self._refused[content.digest]
            return
        raise self._refusal()

    def is_suspect(self, content: Content) -> bool:
        """Whether a process died during a call of this payload, which has not been answered since."""
        return self._suspect(content) is not None

    def record_crash(self, content: Content, method: str, *, exclusive: bool, quiet: bool) -> bool:
        """A process died during a call with this payload.

        Returns:
            Whether the payload is quarantined from now on; `check` raises then.
        """
        before = self._suspect(content)
        answers = self._answers.get(method, 0)
        crashes = before.crashes if before else 0
        if before and exclusive and quiet and answers > before.answers:
            crashes += 1
        self._lengths.add(len(content.data))
        until = self._clock() + self._settings.remember_seconds
        if crashes < self._settings.crashes:
            self._suspects.pop(content.digest, None)
            _remember(self._suspects, content.digest, _Suspect(crashes, answers, until))
            return False
        del self._suspects[content.digest]
        _remember(self._refused, content.digest, until)
        return True

    def clear(self, content: Content, method: str) -> None:
        """An endpoint answered this payload."""
        self._answers[method] = self._answers.get(method, 0) + 1
        if self._suspects and self._knows(content):
            cleared = self._suspects.pop(content.digest, None)
            if cleared and cleared.crashes:
                for suspect in self._suspects.values():
                    suspect.crashes = 0
        if self._lengths and not self._suspects and not self._refused:
            self._lengths.clear()

    def _suspect(self, content: Content) -> _Suspect | None:
        found = self._suspects.get(content.digest) if self._knows(content) else None
        if found is None or self._clock() < found.until:
            return found
        del self._suspects[content.digest]
        return None

    def _knows(self, content: Content) -> bool:
        return len(content.data) in self._lengths

    def _refusal(self) -> QuarantinedPayloadError:
        minutes = self._settings.remember_seconds / 60
        return QuarantinedPayloadError(
            "services died each time they worked on this photo or text, and on nothing else, so it is refused for"
            f" {minutes:.0f} minutes; look into their logs, and report it with the file"
        )


def _remember(table: OrderedDict[bytes, V], key: bytes, value: V) -> None:
    table[key] = value
    while len(table) > MAX_REMEMBERED:
        table.popitem(last=False)
