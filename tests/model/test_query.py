import pytest

from tapetum.model import Query


def test_a_level_that_dicom_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="level"):
        Query("hospital")  # type: ignore[arg-type]


@pytest.mark.parametrize("page", [{"limit": -1}, {"offset": -1}])
def test_a_page_is_not_before_the_first(page: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="negative"):
        Query("study", **page)  # type: ignore[arg-type]
