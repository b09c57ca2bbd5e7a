"""Immich's filters as conditions: each is translated as Immich means it, or the search is left to Immich."""

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.front_door.search.filter_values import UntranslatableError
from router.front_door.search.filters import translate
from router.front_door.search.query import PAGING, prefixed_text, read_query, without_prefix
from sql.filters import AssetFilters, Condition, Field, Op, Visibility

ID = "966fe942-5655-4616-a336-01907dcf1f0b"
OTHER = "8dc50704-4839-4b72-9664-8614a91048bd"
MOMENT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def conditions(body: dict[str, Any]) -> tuple[Condition, ...]:
    return translate(body, PAGING).filters.conditions


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"city": "上海"}, [(Field.CITY, Op.EQ, "上海")]),
        ({"city": None}, [(Field.CITY, Op.EQ, None)]),
        ({"lensModel": None, "make": "Sony"}, [(Field.LENS_MODEL, Op.EQ, None), (Field.MAKE, Op.EQ, "Sony")]),
        ({"rating": 5}, [(Field.RATING, Op.EQ, 5)]),
        ({"rating": None}, [(Field.RATING, Op.EQ, None)]),
        ({"personIds": [ID, OTHER]}, [(Field.PERSON_IDS, Op.ALL, (UUID(ID), UUID(OTHER)))]),
        ({"personIds": []}, []),
        ({"tagIds": None}, [(Field.HAS_TAGS, Op.EQ, False)]),
        ({"albumIds": [ID], "isNotInAlbum": True}, [(Field.ALBUM_IDS, Op.ALL, (UUID(ID),))]),
        ({"isNotInAlbum": True}, [(Field.HAS_ALBUMS, Op.EQ, False)]),
        ({"isNotInAlbum": False}, []),
        ({"isFavorite": False}, [(Field.IS_FAVORITE, Op.EQ, False)]),
        ({"withStacked": False}, [(Field.IS_STACKED, Op.EQ, False)]),
        ({"withStacked": True}, []),
        ({"type": "VIDEO"}, [(Field.TYPE, Op.EQ, "VIDEO")]),
        ({"libraryId": None}, []),
        ({"libraryId": ID}, [(Field.LIBRARY_ID, Op.EQ, UUID(ID))]),
        ({"takenAfter": "2024-05-06T07:08:09.000Z"}, [(Field.TAKEN_AT, Op.GTE, MOMENT)]),
        ({"takenBefore": "2024-05-06T15:08:09+08:00"}, [(Field.TAKEN_AT, Op.LTE, MOMENT)]),
        ({"createdAfter": "2024-05-06T07:08:09"}, [(Field.CREATED_AT, Op.GTE, MOMENT)]),
        ({"originalFileName": "IMG"}, [(Field.ORIGINAL_FILE_NAME, Op.LIKE, "IMG")]),
        (
            {"checksum": "dTDzkLOIFjGNkccIydA1uEmrQ54="},
            [(Field.CHECKSUM, Op.EQ, bytes.fromhex("7530f390b38816318d91c708c9d035b849ab439e"))],
        ),
        ({"query": "x", "page": 2, "size": 5, "withExif": True, "language": "zh", "order": "asc"}, []),
        (
            {"filter": {"city": {"in": ["a", "b"], "ne": "c"}}},
            [(Field.CITY, Op.IN, ("a", "b")), (Field.CITY, Op.NE, "c")],
        ),
        (
            {"filter": {"rating": {"gte": 3}, "hasPeople": {"eq": True}}},
            [(Field.RATING, Op.GTE, 3), (Field.HAS_PEOPLE, Op.EQ, True)],
        ),
        ({"filter": {"libraryId": {"ne": None}}}, [(Field.LIBRARY_ID, Op.NE, None)]),
        (
            {"filter": {"personIds": {"any": [ID], "none": [OTHER]}}},
            [(Field.PERSON_IDS, Op.ANY, (UUID(ID),)), (Field.PERSON_IDS, Op.NONE, (UUID(OTHER),))],
        ),
        (
            {"filter": {"description": {"startsWith": "a", "notLike": "b"}}},
            [(Field.DESCRIPTION, Op.STARTS_WITH, "a"), (Field.DESCRIPTION, Op.NOT_LIKE, "b")],
        ),
        ({"filter": {"takenAt": {"lt": "2024-05-06T07:08:09Z"}}}, [(Field.TAKEN_AT, Op.LT, MOMENT)]),
        ({"filter": {}}, []),
    ],
)
def test_filters_as_immich_means_them(body: dict[str, Any], expected: list[tuple[Field, Op, Any]]) -> None:
    assert conditions(body) == tuple(Condition(*each) for each in expected)


def test_branches() -> None:
    body = {
        "filter": {"make": {"eq": "Sony"}, "or": [{"city": {"eq": "a"}}, {"rating": {"eq": 5}, "model": {"eq": "m"}}]}
    }
    assert translate(body, PAGING).filters == AssetFilters(
        (Condition(Field.MAKE, Op.EQ, "Sony"),),
        (
            (Condition(Field.CITY, Op.EQ, "a"),),
            (Condition(Field.RATING, Op.EQ, 5), Condition(Field.MODEL, Op.EQ, "m")),
        ),
    )


@pytest.mark.parametrize(
    ("body", "visibilities", "with_deleted"),
    [
        ({}, None, False),
        ({"visibility": "archive"}, {"archive"}, False),
        ({"withDeleted": True}, None, True),
        ({"withDeleted": False}, None, False),
        ({"trashedAfter": "2024-01-01T00:00:00Z"}, None, True),
        ({"isOffline": True}, None, True),
        ({"isOffline": False}, None, False),
        ({"filter": {"visibility": {"in": ["timeline", "archive"]}}}, {"timeline", "archive"}, False),
        ({"filter": {"visibility": {"ne": "hidden"}}}, {"timeline", "archive"}, False),
        ({"filter": {"visibility": {"notIn": ["locked", "hidden"]}}}, {"timeline", "archive"}, False),
        ({"filter": {"trashedAt": {"ne": None}}}, None, True),
        ({"filter": {"trashedAt": {"eq": None}}}, None, False),
    ],
)
def test_what_is_searched_at_all(body: dict[str, Any], visibilities: set[str] | None, with_deleted: bool) -> None:
    restriction = translate(body, PAGING)
    expected = None if visibilities is None else frozenset(map(Visibility, visibilities))
    assert restriction.visibilities == expected
    assert restriction.with_deleted is with_deleted


@pytest.mark.parametrize(
    "body",
    [
        {"visibility": "locked"},
        {"visibility": "nonsense"},
        {"ocr": "发票"},
        {"unknown": 1},
        {"previewPath": "/x"},
        {"personIds": ["no uuid"]},
        {"personIds": ID},
        {"isFavorite": "true"},
        {"isFavorite": None},
        {"rating": "5"},
        {"rating": True},
        {"takenAfter": "yesterday"},
        {"takenAfter": "0001-01-01T00:00:00+14:00"},
        {"takenBefore": "9999-12-31T23:59:59-14:00"},
        {"filter": {"takenAt": {"gte": "0001-01-01T00:00:00+14:00"}}},
        {"city": "a\x00b"},
        {"filter": {"description": {"like": "\x00"}}},
        {"type": "ROBOT"},
        {"filter": {"type": {"in": ["IMAGE", "ROBOT"]}}},
        {"rating": 6},
        {"rating": 1.5},
        {"rating": 1e30},
        {"filter": {"or": [{"city": {"eq": "x"}}] * 3000}},
        {"filter": {"or": [{}] * 3000}},
        {"personIds": [ID] * 5000},
        {"checksum": "zz"},
        {"withDeleted": "no"},
        {"filter": []},
        {"filter": {"ocr": {"matches": "x"}}},
        {"filter": {"deviceId": {"eq": "x"}}},
        {"filter": {"city": "上海"}},
        {"filter": {"city": {}}},
        {"filter": {"city": {"near": "上海"}}},
        {"filter": {"city": {"in": []}}},
        {"filter": {"city": {"like": None}}},
        {"filter": {"visibility": {"eq": "locked"}}},
        {"filter": {"visibility": {"in": ["timeline", "locked"]}}},
        {"filter": {"visibility": {"like": "t"}}},
        {"filter": {"visibility": {"ne": "nonsense"}}},
        {"filter": {"visibility": {"in": 5}}},
        {"filter": {"or": {}}},
        {"filter": {"or": [{"visibility": {"eq": "archive"}}]}},
        {"filter": {"or": [{"trashedAt": {"ne": None}}]}},
        {"filter": {"or": [{"or": []}]}},
    ],
)
def test_what_only_immich_can_apply(body: dict[str, Any]) -> None:
    with pytest.raises(UntranslatableError):
        translate(body, PAGING)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from([*[field.value for field in Field], "filter", "or", "takenAfter", "withDeleted", "visibility"])


@given(st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON | st.dictionaries(st.sampled_from(list(Op)), JSON))))
def test_any_body_is_translated_or_left_to_immich(body: dict[str, Any]) -> None:
    with contextlib.suppress(UntranslatableError):
        translate(body, PAGING)


@given(st.text())
def test_the_prefix_never_eats_the_text(text: str) -> None:
    assert prefixed_text(f"ocr:{text}") == without_prefix(text)
    assert prefixed_text(f"x{text}") is None


@pytest.mark.parametrize(
    "body", [{"page": 0}, {"page": "1"}, {"size": 1001}, {"size": 0}, {"size": True}, {"withExif": 1}]
)
def test_pages_out_of_range_are_immichs_to_refuse(body: dict[str, Any]) -> None:
    with pytest.raises(UntranslatableError):
        read_query("x", body)


def test_a_naive_date_is_utc() -> None:
    [condition] = conditions({"takenAfter": "2024-01-01"})
    assert condition.value == datetime(2024, 1, 1, tzinfo=UTC)
    [condition] = conditions({"takenAfter": "2024-01-01T08:00:00+08:00"})
    assert condition.value == datetime(2024, 1, 1, 8, tzinfo=timezone(timedelta(hours=8)))
