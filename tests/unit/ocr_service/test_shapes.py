"""Which sizes OCR's inputs are padded to, on which device."""

import pytest

from mesh.core.settings import Device
from ocr_service.detection.detector import input_size, scale_to
from ocr_service.detection.tiles import STRIDE
from ocr_service.recognition.recogniser import HEIGHT, MAX_WIDTH, MIN_WIDTH, padded_width
from ocr_service.shapes import LINE_HEIGHT, LINE_WIDTHS, LONGEST_LINE, PHOTO_STEP, PHOTOS, sizes_for

NONE = {"detection": (), "recognition": ()}
LINES = tuple((48, width) for width in LINE_WIDTHS)


def test_sides_are_the_networks() -> None:
    assert (PHOTO_STEP, LINE_HEIGHT, LONGEST_LINE) == (STRIDE, HEIGHT, MAX_WIDTH)
    assert min(LINE_WIDTHS) == MIN_WIDTH
    assert max(LINE_WIDTHS) == MAX_WIDTH


@pytest.mark.parametrize(
    "device", [Device.TENSORRT, Device.ROCM, Device.COREML, Device.OPENVINO_GPU, Device.OPENVINO_NPU]
)
def test_what_compiles_for_each_shape_is_given_few(device: Device) -> None:
    assert sizes_for("auto", device) == {"detection": PHOTOS, "recognition": LINES}
    assert sizes_for("dynamic", device) == NONE


@pytest.mark.parametrize("device", [Device.AUTO, Device.CPU, Device.OPENVINO, Device.CUDA])
def test_what_does_not_is_given_what_comes(device: Device) -> None:
    assert sizes_for("auto", device) == NONE
    assert sizes_for("fixed", device) == {"detection": PHOTOS, "recognition": LINES}


def test_a_list_names_photos_and_lines_in_its_order() -> None:
    sizes = sizes_for("48x640,992x736, 736x992,48x128,992x736", Device.CPU)
    assert sizes == {"detection": ((992, 736), (736, 992)), "recognition": ((48, 640), (48, 128))}


def test_a_part_that_a_list_does_not_name_has_the_usual_sizes() -> None:
    assert sizes_for("736x992", Device.CPU) == {"detection": ((736, 992),), "recognition": LINES}
    assert sizes_for("48x3200", Device.CPU) == {"detection": PHOTOS, "recognition": ((48, 3200),)}


@pytest.mark.parametrize("aspect", [(3, 4), (4, 3), (9, 16), (16, 9), (1, 1)])
def test_the_usual_photos_fill_their_size(aspect: tuple[int, int]) -> None:
    size = (1440 * aspect[0] // min(aspect), 1440 * aspect[1] // min(aspect))  # as Immich's previews
    assert input_size(*size, scale_to(size, 736)) in PHOTOS


def test_no_line_costs_more_than_a_quarter_more() -> None:
    for width in range(MIN_WIDTH, MAX_WIDTH + 1):
        own = padded_width(width)
        assert min(one for one in LINE_WIDTHS if one >= own) <= 1.25 * own + 8
