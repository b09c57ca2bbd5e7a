"""A clock that stands still until a test moves it."""

from dataclasses import dataclass


@dataclass
class FakeClock:
    """Stands for `time.monotonic` and the like: `now` is what it says next."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now
