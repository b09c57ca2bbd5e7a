"""Settings read from the environment, or what is wrong with them: a sentence for each fault, by the names that a person
has set."""

import os
import re
from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from mesh.core.settings.base import MeshSettings, Place

S = TypeVar("S", bound=MeshSettings)


class InvalidSettingsError(Exception):
    """The environment gives no settings.

    Attributes:
        faults: each with its variable and never with its value, which may be a secret.
    """

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


def read_settings(kind: type[S]) -> S:
    """The settings of that kind. Raises InvalidSettingsError."""
    try:
        return kind()
    except ValidationError as error:
        faults = [(fault["loc"], fault["msg"].removeprefix("Value error, ")) for fault in error.errors()]
        raise InvalidSettingsError([f"{variable(place, kind)}: {text}" for place, text in faults]) from None
    except SettingsError as error:
        raise InvalidSettingsError([_unreadable(error, kind)]) from None


def variable(place: Place, kind: type[MeshSettings], environment: Mapping[str, str] = os.environ) -> str:
    """The variable that sets a field: of its several names the one that is set, in the order in which they count.

    Where a whole group was set by one variable, that one and the place inside.
    """
    given = {name.upper() for name in environment}
    for depth in range(len(place), 0, -1):
        found = next((name for name in kind.variables(place[:depth]) if name.upper() in given), None)
        if found:
            return ".".join((found, *map(str, place[depth:])))
    return kind.variables(place)[0] if place else "settings"


def _unreadable(error: SettingsError, kind: type[MeshSettings]) -> str:
    """A group of settings in one variable that is not JSON; pydantic names its field in words alone."""
    field = re.search(r'field "(\w+)"', str(error))
    return f"{variable((field[1],), kind) if field else error}: is not JSON ({error.__cause__})"
