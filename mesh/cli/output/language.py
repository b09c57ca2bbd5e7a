"""The language of what people read: that of `LANGUAGE`, `LC_ALL`, `LC_MESSAGES` or `LANG`; English without a catalogue.

`mesh/cli/locale/zh_CN/LC_MESSAGES/mesh.po` has the translations; `make generate` compiles it. Logs stay English, so
that they can be searched for.
"""

import gettext
from functools import lru_cache
from pathlib import Path

LOCALES = Path(__file__).resolve().parent.parent / "locale"
DOMAIN = "mesh"


def tr(message: str) -> str:
    """A message in the reader's language. Values are put in afterwards: `tr("{count} to mend").format(count=2)`."""
    return _translations().gettext(message)


@lru_cache(maxsize=1)
def _translations() -> gettext.NullTranslations:
    """Read once, at the first message: the language of a process does not change."""
    return gettext.translation(DOMAIN, LOCALES, fallback=True)
