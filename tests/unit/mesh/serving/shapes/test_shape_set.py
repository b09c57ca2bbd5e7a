"""Which shape a picture is put into."""

import random

import pytest

from mesh.serving.shapes.shape_set import Shape, ShapeSet, batches_up_to

SET = ShapeSet(((64, 96), (96, 64), (128, 160)), (1, 4, 16))


def test_a_picture_goes_into_the_smallest_size_that_holds_it() -> None:
    assert SET.place_for((64, 96)) == (64, 96)
    assert SET.place_for((32, 96)) == (64, 96)
    assert SET.place_for((96, 32)) == (96, 64)
    assert SET.place_for((96, 96)) == (128, 160)


def test_what_no_size_holds_is_padded_in_large_steps() -> None:
    assert SET.place_for((600, 96)) == (1024, 96)
    assert SET.place_for((160, 513)) == (512, 1024)


def test_a_line_that_is_too_long_keeps_its_height() -> None:
    assert ShapeSet(((48, 128), (48, 320))).place_for((48, 400)) == (48, 512)


def test_whatever_comes_there_are_few_shapes() -> None:
    draw = random.Random(7)
    places = {SET.place_for((32 * draw.randint(1, 64), 32 * draw.randint(1, 64))) for _ in range(10_000)}
    assert len(places - set(SET.sizes)) <= (2048 // 512 + 3) ** 2


def test_only_what_is_allowed_counts() -> None:
    assert SET.holding((32, 32), lambda size: size == (128, 160)) == (128, 160)
    assert SET.holding((32, 32), lambda size: False) is None


def test_a_batch_is_at_least_half_full() -> None:
    size = SET.sizes[0]
    wanted = [SET.batch_for(count, size) for count in (1, 2, 3, 4, 5, 7, 8, 16, 17)]
    assert wanted == [1, 4, 4, 4, 4, 4, 16, 16, 16]
    assert SET.batch_for(9, size, lambda batch: batch < 16) == 4
    assert SET.batch_for(3, size, lambda batch: batch != 4) == 1
    assert SET.batch_for(9, size, lambda batch: False) == 1


def test_a_run_of_several_holds_no_more_than_the_largest_picture() -> None:
    photos = ShapeSet(((736, 992), (320, 320), (1600, 1600)), (1, 4, 16, 32))
    assert photos.batches_of((736, 992)) == photos.batches_of((1600, 1600)) == (1,)
    assert photos.batches_of((320, 320)) == (1, 4, 16)
    assert photos.batch_for(9, (1600, 1600)) == 1
    assert len(photos) == len(list(photos)) == 5
    assert Shape(4, 320, 320) in photos
    assert Shape(4, 736, 992) not in photos


def test_a_run_of_lines_holds_as_many_as_a_card_is_filled_with() -> None:
    lines = ShapeSet(((48, 320), (48, 3200)), (1, 4, 16, 32))
    assert lines.batches_of((48, 320)) == (1, 4, 16, 32)
    assert lines.batches_of((48, 3200)) == (1,)


def test_pictures_of_one_size_share_runs_as_they_like() -> None:
    assert ShapeSet(((224, 224),), (1, 4, 16, 32)).batches_of((224, 224)) == (1, 4, 16, 32)


def test_all_sizes_come_before_larger_batches() -> None:
    shapes = list(SET)
    assert len(shapes) == len(SET) == 9
    assert shapes[:4] == [Shape(1, 64, 96), Shape(1, 96, 64), Shape(1, 128, 160), Shape(4, 64, 96)]


@pytest.mark.parametrize(
    ("most", "batches"), [(1, (1,)), (2, (1, 2)), (4, (1, 4)), (8, (1, 4, 8)), (32, (1, 4, 16, 32))]
)
def test_batches_grow_by_four(most: int, batches: tuple[int, ...]) -> None:
    assert batches_up_to(most) == batches


def test_a_shape_has_a_name_and_is_found_by_it() -> None:
    for shape in (Shape(1, 736, 992), Shape(4, 48, 320, is_filled=True)):
        assert Shape.of(str(shape)) == shape
    assert Shape.of("1x736") is Shape.of("seen") is None
