import numpy as np
import pytest

from tapetum.learn.result import Prediction
from tapetum.report.montage import GROUPS, MontageTile, choose, data_uri, grouped


def prediction(probability: float, outcome: int, patient: str = "") -> Prediction:
    return Prediction(
        patient or f"p{probability}", f"{probability}", "test", probability, probability, probability, outcome
    )


def test_the_surest_right_and_wrong_ones_and_the_nearest_to_the_threshold_are_chosen() -> None:
    rows = [prediction(p, o) for p, o in ((0.99, 1), (0.01, 0), (0.95, 0), (0.51, 1), (0.7, 1), (float("nan"), 1))]
    chosen = choose(rows, threshold=0.5, each=2)
    found = {group: {row.probability for name, row in chosen if name == group} for group in GROUPS}
    assert found == {GROUPS[0]: {0.99, 0.01}, GROUPS[1]: {0.95}, GROUPS[2]: {0.51, 0.7}}


def test_no_image_is_chosen_twice_when_there_are_few() -> None:
    rows = [prediction(0.9, 1), prediction(0.2, 1)]
    assert len(choose(rows, threshold=0.5)) == 2


def test_no_patient_is_shown_twice_and_mistakes_come_first() -> None:
    rows = [prediction(p, o, "one") for p, o in ((0.99, 1), (0.95, 0), (0.52, 1))] + [prediction(0.9, 1, "two")]
    assert [(group, row.probability) for group, row in choose(rows, threshold=0.5)] == [
        (GROUPS[0], 0.9),
        (GROUPS[1], 0.95),
    ]


def test_a_tile_without_a_prediction_is_an_example() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    tiles = [MontageTile(pixels, "a"), MontageTile(pixels, "b", 1, 0.9), MontageTile(pixels, "c", 0, 0.51)]
    assert list(grouped(tiles, threshold=0.5)) == [GROUPS[0], GROUPS[2], "Examples"]


def test_pixels_that_are_no_colour_picture_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        MontageTile(np.zeros((4, 4), np.uint8), "grey")
    with pytest.raises(ValueError, match="uint8"):
        MontageTile(np.zeros((4, 4, 3)), "float")  # type: ignore[arg-type]


def test_a_large_picture_is_made_small_enough_for_a_page() -> None:
    assert len(data_uri(np.zeros((4000, 3000, 3), np.uint8))) < 5000
