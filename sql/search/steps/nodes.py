"""Conditions over a document as the data that `mesh.condition` knows, put together."""

from collections.abc import Sequence

from sql.search.conditions import Json

MIXED_UP = ("o0", "il1", "s5", "b8", "z2")
"""Letters and digits that OCR mixes up."""
LOOK_ALIKES = str.maketrans({letter: same[-1] for same in MIXED_UP for letter in same[:-1]})
"""As `mesh.grams` makes them one."""


def in_words(query: str) -> Json:
    """The document's tokens match the `tsquery`."""
    return {"words": query}


def either(conditions: Sequence[Json]) -> Json:
    """One of the conditions holds."""
    return conditions[0] if len(conditions) == 1 else {"any": list(conditions)}


def all_of(conditions: Sequence[Json]) -> Json:
    """All conditions hold."""
    return conditions[0] if len(conditions) == 1 else {"all": list(conditions)}


def inside(text: str) -> Json:
    """The document holds all triples of the text, wherever, look-alikes made one."""
    return {"grams": all_grams(text.translate(LOOK_ALIKES))}


def all_grams(word: str) -> str:
    """All triples of a word as one `tsquery`."""
    return " & ".join(f"'{word[start : start + 3]}'" for start in range(len(word) - 2))
