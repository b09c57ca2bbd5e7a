"""Scans are counted before any is decoded, in time linear in the file's length."""

import io
import time
from contextlib import suppress

import PIL.Image
import pytest

from mesh.core.errors import InvalidInputError
from mesh.serving.images import ChannelOrder, decode
from mesh.serving.images.jpeg import MAX_SCANS, read_scans
from tests.builders.bombs import progressive_jpeg


def jpeg(**options: object) -> bytes:
    out = io.BytesIO()
    PIL.Image.effect_noise((320, 240), 90).convert("RGB").save(out, "JPEG", **options)
    return out.getvalue()


def test_a_baseline_photo_has_one_scan_and_keeps_no_coefficients() -> None:
    found = read_scans(jpeg(quality=95))
    assert (found.count, found.coefficient_bytes) == (1, 0)


@pytest.mark.parametrize(("subsampling", "samples"), [(0, 3.0), (1, 2.0), (2, 1.5)])
def test_a_progressive_photo_keeps_all_coefficients(subsampling: int, samples: float) -> None:
    found = read_scans(jpeg(progressive=True, subsampling=subsampling))
    assert 6 <= found.count <= 12
    assert found.coefficient_bytes == 2 * samples * 320 * 240


def test_scans_of_a_preview_inside_the_file_do_not_count() -> None:
    preview = progressive_jpeg(64, 64, more_scans=200)
    for segment in (b"\xff\xe1", b"\xff\xfe"):
        inside = segment + (len(preview) + 2).to_bytes(2, "big") + preview
        data = jpeg()
        assert read_scans(data[:2] + inside + data[2:] + preview).count == 1


def test_as_many_scans_as_are_allowed_are_decoded() -> None:
    data = progressive_jpeg(64, 64, more_scans=0)
    data = progressive_jpeg(64, 64, more_scans=MAX_SCANS - read_scans(data).count)
    assert read_scans(data).count == MAX_SCANS
    assert decode(data, max_pixels=10**6, order=ChannelOrder.RGB).width == 64


@pytest.mark.parametrize(("side", "more"), [(64, MAX_SCANS), (10_000, 40)])
def test_more_scans_than_a_photo_has_are_refused_undecoded(side: int, more: int) -> None:
    data = progressive_jpeg(side, side, more_scans=more)
    started = time.process_time()
    with pytest.raises(InvalidInputError, match=r"more scans or segments than a photo \(\d+ scans\): save it anew"):
        decode(data, max_pixels=10**9, order=ChannelOrder.RGB)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "filler", [b"\xff\xfe\x00\x02", b"\xff\xfe\xff\xff" + bytes(65533), b"\xff\x00", b"\xff\xd0", b"\xff"]
)
def test_the_longest_file_is_read_in_a_moment(filler: bytes) -> None:
    data = jpeg()
    start = data.index(b"\xff\xda")
    data = data[:start] + filler * ((60 << 20) // len(filler)) + data[start:]
    started = time.process_time()
    with suppress(InvalidInputError):
        read_scans(data)
    assert time.process_time() - started < 2


def test_whatever_the_header_says_nothing_but_invalid_input_is_raised() -> None:
    data = jpeg(progressive=True)
    for end in range(2, 700):
        read_scans(data[:end])
