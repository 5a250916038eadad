from __future__ import annotations

import pytest

from tapetum.model import Code, Notice, Quantity


def test_codes_are_equal_by_value_and_scheme_whatever_their_meaning_is_called() -> None:
    assert Code("10200004", "SCT", "Liver") == Code("10200004", "SCT", "Liver structure")
    assert len({Code("10200004", "SCT", "Liver"), Code("10200004", "SCT")}) == 1


def test_the_same_value_in_another_scheme_is_another_code() -> None:
    assert Code("113100", "DCM") != Code("113100", "SCT")


@pytest.mark.parametrize(("value", "scheme"), [("", "SCT"), ("10200004", ""), ("", "")])
def test_a_code_without_value_or_scheme_is_refused(value: str, scheme: str) -> None:
    with pytest.raises(ValueError, match="value and a scheme"):
        Code(value, scheme, "Liver")


def test_quantities_differ_by_their_unit() -> None:
    assert Quantity("activity concentration", "Bq/mL") != Quantity("activity concentration", "g/mL")


def test_a_notice_cannot_be_changed_after_it_was_made() -> None:
    notice = Notice("missing-slice", "1 slice missing")
    with pytest.raises(AttributeError):
        notice.code = "nothing"  # type: ignore[misc]
