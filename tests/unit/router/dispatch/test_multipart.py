"""Form bodies: what Immich sends, what other clients send, and what nobody should."""

import contextlib
import email
import email.policy
import sys
from collections.abc import Mapping
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mesh.core.errors import InvalidInputError
from router.dispatch.wire.forms import parse_form
from router.dispatch.wire.multipart import MAX_FALSE_DELIMITERS, MAX_PARTS, MultipartParser, Part, join_parts
from router.errors import BodyTooLargeError
from tests.contract.recorded import PREDICTIONS, recorded

IMAGE = b"\xff\xd8\xff\xe0\r\n--almost a boundary\r\n\r\n\x00\xff"


def split_parts(data: bytes, boundary: bytes, size: int = 1 << 20) -> dict[str, Part]:
    """The parts of a body that arrives in pieces of `size` bytes."""
    parser = MultipartParser(boundary)
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    return parser.finish()


def body(*lines: bytes) -> bytes:
    return b"\r\n".join(lines)


def form(content_type: str = "multipart/form-data; boundary=xyz", *lines: bytes) -> Mapping[str, Part]:
    return parse_form(body(*lines), content_type)


@pytest.mark.parametrize("name", PREDICTIONS)
def test_recorded_bodies_are_read_as_pythons_own_parser_reads_them(name: str) -> None:
    request = recorded(name)
    head = f"Content-Type: {request.header('content-type')}\r\n\r\n".encode()
    reference = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    expected = {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in reference.iter_parts()
    }
    found = parse_form(request.body, request.header("content-type"))
    assert list(found) == list(expected)
    for key, part in found.items():
        # The e-mail parser takes CR LF for a line end wherever it stands; a photo's bytes are their own.
        assert part.data.replace(b"\r\n", b"\n") == bytes(expected[key]).replace(b"\r\n", b"\n")


def test_the_recorded_photo_arrives_untouched() -> None:
    request = recorded("predict-ocr")
    image = parse_form(request.body, request.header("content-type"))["image"]
    assert (image.filename, image.content_type) == ("blob", "application/octet-stream")
    assert image.data[:3] == b"\xff\xd8\xff"
    assert image.data[-2:] == b"\xff\xd9"
    assert image.data in request.body


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(
            [
                b"--xyz",
                b'Content-Disposition: form-data; name="image"; filename="a.jpg"',
                b"",
                IMAGE,
                b"--xyz",
                b'Content-Disposition: form-data; name="entries"',
                b"",
                b"{}",
                b"--xyz--",
                b"",
            ],
            id="other order",
        ),
        pytest.param(
            [
                b"--xyz",
                b'Content-Disposition: form-data; name="entries"',
                b"",
                b"{}",
                b"--xyz",
                b'content-disposition: form-data; name="image"',
                b"",
                IMAGE,
                b"--xyz--",
            ],
            id="no filename, small letters, no line end at the end",
        ),
        pytest.param(
            [
                b"This is a preamble",
                b"--xy",
                b"--xyz  ",
                b"Content-Disposition: form-data; name=entries",
                b"",
                b"{}",
                b"--xyz\t",
                b"Content-Type: image/jpeg",
                b'Content-Disposition: form-data; filename="x"; name="image"',
                b"",
                IMAGE,
                b"--xyz--",
                b"an epilogue",
                b"--xyz",
                b"",
                b"ignored",
            ],
            id="preamble, padding, tokens, epilogue",
        ),
    ],
)
def test_what_other_clients_send(lines: list[bytes]) -> None:
    found = form("multipart/form-data; boundary=xyz", *lines)
    assert (found["entries"].data, found["image"].data) == (b"{}", IMAGE)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/form-data; boundary="x y:z"', b"x y:z"),
        (r'multipart/form-data; boundary="a\"b"', b'a"b'),
        ("Multipart/Form-Data; charset=utf-8; Boundary=xyz", b"xyz"),
        ("multipart/form-data;boundary=xyz; charset=utf-8", b"xyz"),
    ],
)
def test_boundaries_may_be_quoted_and_spelt_as_they_like(content_type: str, boundary: bytes) -> None:
    lines = [b"--" + boundary, b'Content-Disposition: form-data; name="text"', b"", b"dog", b"--" + boundary + b"--"]
    assert parse_form(body(*lines), content_type)["text"].data == b"dog"


def test_an_empty_part_and_a_name_with_a_quote() -> None:
    lines = [b"--xyz", rb'Content-Disposition: form-data; name="a\"b"', b"", b"", b"--xyz--"]
    assert form("multipart/form-data; boundary=xyz", *lines) == {'a"b': Part(b"")}


def test_a_form_without_files_may_be_url_encoded() -> None:
    found = parse_form(b"entries=%7B%7D&text=%E4%B8%80", "application/x-www-form-urlencoded")
    assert (found["entries"].data, found["text"].text("text")) == (b"{}", "一")


PART = [b"--xyz", b'Content-Disposition: form-data; name="a"', b"", b"1"]


@pytest.mark.parametrize(
    ("content_type", "lines", "message"),
    [
        ("application/json", [b"{}"], "multipart/form-data"),
        ("", [b""], "without Content-Type"),
        ("multipart/form-data", PART, "names no boundary"),
        ("multipart/form-data; boundary=xyz", PART, "closing boundary"),
        ("multipart/form-data; boundary=other", [*PART, b"--xyz--"], "closing boundary"),
        ("multipart/form-data; boundary=xyz", [b""], "closing boundary"),
        ("multipart/form-data; boundary=xyz", [*PART, *PART, b"--xyz--"], "twice"),
        ("multipart/form-data; boundary=xyz", [b"--xyz", b"Content-Type: a/b", b"", b"1", b"--xyz--"], "no name"),
        ("multipart/form-data; boundary=xyz", [b"--xyz", b"X: " + b"y" * 9000, b"", b"1", b"--xyz--"], "no header"),
        (
            "multipart/form-data; boundary=xyz",
            [PART[0], PART[1], b"Content-Transfer-Encoding: base64", b"", b"MQ==", b"--xyz--"],
            "binary",
        ),
    ],
)
def test_what_is_wrong_is_said(content_type: str, lines: list[bytes], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        form(content_type, *lines)


def test_the_number_of_parts_is_bounded() -> None:
    parts = {f"part{number}": Part(b"") for number in range(MAX_PARTS + 1)}
    with pytest.raises(InvalidInputError, match="more than 32 parts"):
        split_parts(join_parts(parts, b"xyz"), b"xyz")


HEAD = b'--X\r\nContent-Disposition: form-data; name="image"\r\n\r\n'


def test_text_that_looks_like_a_delimiter_is_data_a_few_times() -> None:
    photo = b"\r\n--Xa" * MAX_FALSE_DELIMITERS
    assert split_parts(HEAD + photo + b"\r\n--X--", b"X")["image"].data == photo


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\r\n--Xa" * 1_000_000, "again and again"),
        (b"\r\n--X" + b" " * 10_000_000, "closing boundary"),
        ((b"\r\n--X" + b" " * 1000) * 10_000, "again and again"),
    ],
)
def test_what_a_client_can_make_expensive_is_capped(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        split_parts(HEAD + data, b"X", 65_536)


def test_no_piece_costs_more_than_its_bytes() -> None:
    """Counted in calls of Python functions: what walks over bytes one by one makes as many calls or loops as bytes."""
    parser, counted = MultipartParser(b"X" * 70), 0

    def count(_: FrameType, event: str, __: object) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    hostile = HEAD.replace(b"X", b"X" * 70) + (b"\r\n--" + b"X" * 69) * 100_000
    sys.setprofile(count)
    try:
        for start in range(0, len(hostile), 65_536):
            parser.feed(hostile[start : start + 65_536])
    finally:
        sys.setprofile(None)
    assert counted < 50 * (len(hostile) // 65_536 + 1)


def test_a_long_boundary_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="longer than 70"):
        parse_form(b"", "multipart/form-data; boundary=" + "x" * 71)


def test_an_url_encoded_form_is_small() -> None:
    with pytest.raises(BodyTooLargeError):
        parse_form(b"a=b&" * 40_000, "application/x-www-form-urlencoded")
    with pytest.raises(InvalidInputError, match="more than 32 fields"):
        parse_form(b"a=b&" * 33, "application/x-www-form-urlencoded")


def test_text_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        Part(b"\xff").text("text")


BOUNDARIES = st.text("abcdefXYZ0189'()+_,-./:=?", min_size=1, max_size=70).map(str.encode)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters='"\\\r\n', exclude_categories=["Cs"]), min_size=1, max_size=20
)


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, dict[str, Part]]:
    """A boundary and parts whose data is fond of it, but holds no delimiter."""
    boundary = draw(BOUNDARIES)
    pieces = st.sampled_from([b"\r\n", b"\r", b"\n", b"--", b"\r\n--", boundary, boundary[:-1], b" ", b"\x00\xff"])
    data = st.lists(st.one_of(pieces, st.binary(max_size=30)), max_size=10).map(b"".join)
    data = data.filter(lambda found: b"\r\n--" + boundary not in b"\r\n" + found + b"\r\n")
    part = st.builds(Part, data, st.one_of(st.none(), st.just("blob")), st.sampled_from(["", "image/jpeg"]))
    return boundary, draw(st.dictionaries(NAMES, part, min_size=1, max_size=5))


@given(forms(), st.integers(1, 40))
def test_what_is_joined_is_split_again_however_it_arrives(case: tuple[bytes, dict[str, Part]], size: int) -> None:
    boundary, parts = case
    assert split_parts(join_parts(parts, boundary), boundary, size) == parts
    assert split_parts(join_parts(parts, boundary), boundary) == parts


@given(st.binary(max_size=400), st.sampled_from([b"x", b"xyz", b"--"]))
@example(b"--x\r\n\r\n--x--", b"x")
@example(b"--x\r\n\r\n\r\n--x", b"x")
def test_any_bytes_give_parts_or_a_refusal_however_they_arrive(data: bytes, boundary: bytes) -> None:
    try:
        parts = split_parts(data, boundary)
    except InvalidInputError:
        with pytest.raises(InvalidInputError):
            split_parts(data, boundary, 1)
        return
    assert split_parts(data, boundary, 1) == parts
    assert all(b"\r\n--" + boundary + b"\r\n" not in part.data for part in parts.values())


@given(forms(), st.data())
def test_a_body_cut_anywhere_is_refused_or_only_lost_its_end(
    case: tuple[bytes, dict[str, Part]], data: st.DataObject
) -> None:
    boundary, parts = case
    whole = join_parts(parts, boundary)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with contextlib.suppress(InvalidInputError):
        assert split_parts(cut, boundary) == parts
