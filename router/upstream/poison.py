"""Payloads that kill: when endpoints die twice during the calls of one payload, a third one is spared.

A payload is suspected by the hash of its bytes. Any answer for it, from any endpoint, clears it: in a cluster whose
endpoints die for other reasons, the photos that happened to be there are innocent.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from router.config import PoisonSettings
from router.errors import PoisonousPayload
from router.upstream.calls import Content

MAX_REMEMBERED = 4096

V = TypeVar("V")


class PoisonMemory:
    """The suspects and the convicted."""

    def __init__(self, settings: PoisonSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._deaths: OrderedDict[bytes, int] = OrderedDict()
        self._convicted: OrderedDict[bytes, float] = OrderedDict()
        # Most payloads differ in length from every remembered one and need not be hashed at all.
        self._lengths: set[int] = set()

    def __len__(self) -> int:
        return len(self._convicted)

    def check(self, content: Content) -> None:
        """Raises PoisonousPayload for a convicted payload."""
        if len(content.data) not in self._lengths:
            return
        until = self._convicted.get(content.digest)
        if until is None:
            return
        if self._clock() >= until:
            del self._convicted[content.digest]
            return
        raise self._verdict()

    def accuse(self, content: Content) -> None:
        """An endpoint died during a call with this payload. Raises PoisonousPayload when that convicts it."""
        deaths = self._deaths.pop(content.digest, 0) + 1
        self._lengths.add(len(content.data))
        if deaths < self._settings.deaths:
            self._remember(self._deaths, content.digest, deaths)
            return
        self._remember(self._convicted, content.digest, self._clock() + self._settings.remember_seconds)
        raise self._verdict()

    def absolve(self, content: Content) -> None:
        """An endpoint answered this payload."""
        if self._deaths and len(content.data) in self._lengths:
            self._deaths.pop(content.digest, None)
        if not self._deaths and not self._convicted:
            self._lengths.clear()

    def _verdict(self) -> PoisonousPayload:
        return PoisonousPayload(
            f"{self._settings.deaths} services died while they worked on this photo or text, so it is not tried again;"
            " look into their logs, and report it with the file"
        )

    @staticmethod
    def _remember(table: OrderedDict[bytes, V], key: bytes, value: V) -> None:
        table[key] = value
        while len(table) > MAX_REMEMBERED:
            table.popitem(last=False)
