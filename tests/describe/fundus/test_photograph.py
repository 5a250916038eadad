"""A whole photograph: what a doctor would expect the numbers to do."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image as Picture
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from tapetum.describe.fundus import describe
from tapetum.model import Image, Quantity

HAEMORRHAGES = [(0.38, 0.15, 0.012), (-0.05, 0.25, 0.012), (0.1, -0.15, 0.012)]
EXUDATES = [(0.06, 0.12, 0.008), (0.1, 0.1, 0.008), (-0.1, 0.05, 0.008)]


def values(image: Image) -> dict[str, float]:
    return {feature.name.removeprefix("fundus_"): feature.value for feature in describe(image)}


def test_a_healthy_eye_has_no_clear_red_or_bright_lesions(paint) -> None:
    got = values(paint())
    assert got["red_large_clear_count"] == 0
    assert got["bright_small_clear_count"] == 0
    assert got["bright_large_clear_count"] == 0


@pytest.mark.parametrize("change", ["half turn", "mirrored", "darker", "half again the size"])
def test_the_counts_do_not_depend_on_how_the_camera_was_held_or_set(paint, change: str) -> None:
    lesions = {"red": HAEMORRHAGES, "yellow": EXUDATES}
    image = paint(**lesions)
    other = {
        "half turn": lambda: image.then("turned", np.ascontiguousarray(image.array[::-1, ::-1])),
        "mirrored": lambda: image.then("mirrored", np.ascontiguousarray(image.array[:, ::-1])),
        "darker": lambda: paint(brightness=0.75, **lesions),
        "half again the size": lambda: paint(diameter=900, **lesions),
    }[change]()
    one, two = values(image), values(other)
    for name in ("red_large_clear_count", "bright_small_clear_count", "bright_small_clear_macula"):
        assert two[name] == one[name]
    assert two["red_large_clear_area"] == pytest.approx(one["red_large_clear_area"], rel=0.2)
    assert two["vessel_density"] == pytest.approx(one["vessel_density"], rel=0.2)


def test_a_picture_that_is_no_fundus_keeps_the_names_and_has_no_values(paint) -> None:
    healthy = values(paint())
    chest = Image(np.full((100, 120, 3), 90, np.uint8), "yxc", Quantity("colour", "1"))
    got = values(chest)
    assert list(got) == list(healthy)
    assert got.pop("field_coverage") == 0
    assert np.isnan(list(got.values())).all()


def test_every_number_of_a_valid_photograph_is_finite_named_and_coded_once(paint) -> None:
    features = describe(paint(red=HAEMORRHAGES, yellow=EXUDATES))
    assert np.isfinite([feature.value for feature in features]).all()
    assert len({feature.name for feature in features}) == len({feature.code for feature in features}) == len(features)
    assert all(f.name.startswith("fundus_") and f.code.scheme == "99TAPETUM" and f.code.meaning for f in features)


def test_the_same_photograph_gives_the_same_numbers(paint) -> None:
    assert values(paint(red=HAEMORRHAGES)) == values(paint(red=HAEMORRHAGES))


def test_a_photograph_so_dark_that_it_is_nearly_black_has_no_nan(paint) -> None:
    assert np.isfinite(list(values(paint(brightness=0.12)).values())).all()


@pytest.mark.parametrize(
    ("array", "axes"), [(np.zeros((50, 50), np.uint8), "yx"), (np.zeros((50, 50, 3), np.float32), "yxc")]
)
def test_a_grey_or_unscaled_picture_is_refused(array: np.ndarray, axes: str) -> None:
    with pytest.raises(ValueError, match="a fundus photograph has axes yxc"):
        describe(Image(array, axes, Quantity("colour", "1")))


@pytest.mark.slow
def test_the_numbers_carry_referable_retinopathy_in_patients_not_seen(shared_data) -> None:
    # every third patient, to keep it to two minutes; all 394 photographs reach an AUC of 0.94
    folder = shared_data("fundus_dr")
    with (folder / "labels.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    third = set(sorted({row["patient"] for row in rows})[::3])
    rows = [row for row in rows if row["patient"] in third]
    referable = np.array([row["icdr_grade"] not in ("0", "1") for row in rows])
    patients = [row["patient"] for row in rows]
    numbers = []
    for row in rows:
        pixels = np.asarray(Picture.open(folder / "images" / row["file"]).convert("RGB"))
        numbers.append([f.value for f in describe(Image(pixels, "yxc", Quantity("colour", "1"), modality="OP"))])
    measured = np.array(numbers)
    assert np.isfinite(measured).all()
    risk = np.zeros(len(rows))
    for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(measured, referable, patients):
        trees = ExtraTreesClassifier(300, min_samples_leaf=3, max_features=0.3, random_state=0)
        risk[test] = trees.fit(measured[train], referable[train]).predict_proba(measured[test])[:, 1]
    assert roc_auc_score(referable, risk) > 0.85
