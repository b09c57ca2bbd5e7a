"""Sentences that were made elsewhere, in the reader's language: errors, findings, help, what a router answers.

They are English where they are made, since logs, JSON and other machines have them too. Where a person reads one, it is
looked up by its form in `mesh/cli/locale/zh_CN/LC_MESSAGES/phrases.po`: `{model} is not in {folder}` is that sentence
with any two values, and a value may be a sentence itself. What is printed where it is made has `language.tr` instead.
"""

import gettext
import re
from dataclasses import dataclass
from functools import lru_cache

from mesh.cli.output.language import LOCALES

DOMAIN = "phrases"
MAX_LENGTH = 2000
MAX_DEPTH = 4
"""What is longer, or has sentences in sentences more deeply, is nothing that was written here: it stays as it is."""
_VALUE = re.compile(r"\{(\w+)\}")


class _Catalogue(gettext.GNUTranslations):
    """The compiled file with a list of what is in it, which gettext itself never needs."""

    @property
    def messages(self) -> dict[str, str]:
        """Every message and its translation."""
        entries: dict[str, str] = self._catalog  # type: ignore[attr-defined]
        return {message: text for message, text in entries.items() if message}


@dataclass(frozen=True)
class TextForm:
    """A sentence with places for values: `pattern` finds them in an English one, `text` has them in its own order."""

    pattern: re.Pattern[str]
    text: str

    def values(self, message: str) -> dict[str, str] | None:
        """What a sentence has in the places; None where it is of another form. Brackets are not torn apart."""
        found = self.pattern.fullmatch(message)
        return found.groupdict() if found and all(map(is_whole, found.groupdict().values())) else None

    @classmethod
    def of(cls, message: str, text: str) -> "TextForm":
        """From a catalogue's entry."""
        pieces = _VALUE.split(message)
        pattern = "".join(_place(one) if odd % 2 else re.escape(one) for odd, one in enumerate(pieces))
        return cls(re.compile(pattern, re.DOTALL), text)


@dataclass(frozen=True)
class Phrases:
    """One language's sentences: those without values, and the forms of the others, the most telling first."""

    whole: dict[str, str]
    forms: tuple[TextForm, ...]

    @classmethod
    def of(cls, messages: dict[str, str]) -> "Phrases":
        """From a catalogue's messages."""
        with_values = [message for message in messages if _VALUE.search(message)]
        with_values.sort(key=lambda message: (-len(_VALUE.sub("", message)), "{word}" not in message))
        whole = {message: text for message, text in messages.items() if not _VALUE.search(message)}
        return cls(whole, tuple(TextForm.of(message, messages[message]) for message in with_values))

    def localised(self, message: str, depth: int = 0) -> str:
        """The message as far as it is known; what is not known stays as it is."""
        if (known := self.whole.get(message)) is not None:
            return known
        if len(message) > MAX_LENGTH or depth > MAX_DEPTH:
            return message
        for form in self.forms:
            if (values := form.values(message)) is not None:
                return form.text.format(**{name: self.localised(value, depth + 1) for name, value in values.items()})
        return message


def _place(name: str) -> str:
    """What a value may be: anything, or as `{word}` one word, so that `OCR_PORT: ...` is told from a sentence."""
    return rf"(?P<{name}>\S+?)" if name == "word" else f"(?P<{name}>.+?)"


def is_whole(value: str) -> bool:
    """Whether every bracket that closes in a text was opened in it."""
    depth = 0
    for character in value:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0


def localised(message: str) -> str:
    """A sentence that was made elsewhere, for a person to read."""
    return _phrases().localised(message)


@lru_cache(maxsize=1)
def _phrases() -> Phrases:
    """Read once, at the first message: the language of a process does not change."""
    catalogue = gettext.translation(DOMAIN, LOCALES, class_=_Catalogue, fallback=True)
    return Phrases.of(catalogue.messages if isinstance(catalogue, _Catalogue) else {})
