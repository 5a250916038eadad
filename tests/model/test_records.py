import pytest

from tapetum.model import Arrival, Code, Observation


def test_codes_are_equal_when_value_and_scheme_are() -> None:
    assert Code("Q4LE", "IBSI", "Mean intensity") == Code("Q4LE", "IBSI", "mean")
    assert Code("Q4LE", "IBSI") != Code("Q4LE", "DCM")


def test_a_code_without_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="scheme"):
        Code("Q4LE", "")


def test_an_arrival_that_says_stored_must_say_what() -> None:
    with pytest.raises(ValueError, match="stored"):
        Arrival("stored")


def test_an_observation_is_a_number_or_a_word() -> None:
    with pytest.raises(ValueError, match="value or a text"):
        Observation("P-1", "age")
    with pytest.raises(ValueError, match="value or a text"):
        Observation("P-1", "age", value=1.0, text="one")
