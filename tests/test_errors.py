import pytest

from tapetum.errors import REFUSALS, REJECTIONS, RefusedRequest, RejectedInput, TapetumError


def test_an_error_prints_message_facts_and_hint_on_one_line() -> None:
    assert str(TapetumError("unusable rescale", hint="reject the series", series="1.2.3")) == (
        "unusable rescale (series 1.2.3) - reject the series"
    )


@pytest.mark.parametrize("code", sorted(REJECTIONS))
def test_every_rejection_code_has_a_hint_and_exit_status_3(code: str) -> None:
    error = RejectedInput(code)
    assert (error.code, error.exit_status) == (code, 3)
    assert error.hint


def test_an_invented_rejection_code_is_refused() -> None:
    with pytest.raises(ValueError, match="not a rejection code"):
        RejectedInput("bad-luck")


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_every_refusal_has_a_status_that_says_it_failed(code: str) -> None:
    assert 400 <= RefusedRequest(code, "no").status < 600


def test_an_invented_code_of_refusal_is_refused() -> None:
    with pytest.raises(ValueError, match="not a code of refusal"):
        RefusedRequest("mood", "no")
