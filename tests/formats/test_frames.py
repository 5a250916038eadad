from pydicom import Dataset

from tapetum.formats.frames import frame_count, frame_value, group_item
from tapetum.testing import dicom_series, enhanced


def test_frame_of_its_own_group_wins_over_the_shared_one() -> None:
    image = enhanced(dicom_series(slices=2))
    special = Dataset()
    special.SliceThickness = "9"
    image.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [special]
    assert frame_value(image, 0, "PixelMeasuresSequence", "SliceThickness") == 2.5
    assert frame_value(image, 1, "PixelMeasuresSequence", "SliceThickness") == 9


def test_single_frame_image_answers_with_its_own_attributes() -> None:
    image = dicom_series(slices=1)[0]
    assert frame_value(image, 0, "PixelMeasuresSequence", "SliceThickness") == 2.5
    assert frame_count(image) == 1


def test_absent_macro_is_empty() -> None:
    assert not list(group_item(Dataset(), 3, "PlanePositionSequence"))
    assert frame_value(Dataset(), 3, "PlanePositionSequence", "ImagePositionPatient") is None
