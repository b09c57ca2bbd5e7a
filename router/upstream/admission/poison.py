"""Payloads that kill: when endpoints die twice during the calls of one payload, a third one is spared.

A payload is suspected by the hash of its bytes. Suspects are tried again one to an endpoint, so that nobody is
convicted for the company kept; an answer from any endpoint clears a suspect; and where endpoints died that never saw
the payload, something else killed them all (`forgive`).
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from router.config import PoisonSettings
from router.domain.requests import Content
from router.errors import QuarantinedPayloadError

MAX_REMEMBERED = 4096

V = TypeVar("V")


class PoisonMemory:
    """The suspects and the convicted."""

    def __init__(self, settings: PoisonSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._victims: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()
        self._convicted: OrderedDict[bytes, float] = OrderedDict()
        # Most payloads differ in length from every remembered one and need not be hashed at all.
        self._lengths: set[int] = set()

    def __len__(self) -> int:
        return len(self._convicted)

    def check(self, content: Content) -> None:
        """Raises QuarantinedPayloadError for a convicted payload."""
        if len(content.data) not in self._lengths:
            return
        until = self._convicted.get(content.digest)
        if until is None:
            return
        if self._clock() >= until:
            del self._convicted[content.digest]
            return
        raise self._verdict()

    def victims(self, content: Content) -> tuple[str, ...]:
        """The endpoints that died during calls of this payload, in their order; empty for one above suspicion."""
        return self._victims.get(content.digest, ()) if len(content.data) in self._lengths else ()

    def accuse(self, content: Content, address: str) -> bool:
        """An endpoint died during a call with this payload. Says whether that is once too often."""
        self._lengths.add(len(content.data))
        victims = (*self._victims.pop(content.digest, ()), address)
        self._remember(self._victims, content.digest, victims)
        return len(victims) >= self._settings.deaths

    def convict(self, content: Content) -> QuarantinedPayloadError:
        """Remembers the payload as poisonous; gives the error to tell the caller."""
        self._victims.pop(content.digest, None)
        self._remember(self._convicted, content.digest, self._clock() + self._settings.remember_seconds)
        return self._verdict()

    def forgive(self, content: Content) -> None:
        """The last death had another cause."""
        victims = self._victims.pop(content.digest, ())[:-1]
        if victims:
            self._victims[content.digest] = victims

    def absolve(self, content: Content) -> None:
        """An endpoint answered this payload."""
        if self._victims and len(content.data) in self._lengths:
            self._victims.pop(content.digest, None)
        if self._lengths and not self._victims and not self._convicted:
            self._lengths.clear()

    def _verdict(self) -> QuarantinedPayloadError:
        return QuarantinedPayloadError(
            f"{self._settings.deaths} services died while they worked on this photo or text, so it is not tried again;"
            " look into their logs, and report it with the file"
        )

    @staticmethod
    def _remember(table: OrderedDict[bytes, V], key: bytes, value: V) -> None:
        table[key] = value
        while len(table) > MAX_REMEMBERED:
            table.popitem(last=False)
