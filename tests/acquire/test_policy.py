from tapetum.acquire.policy import Policy


def test_without_a_word_identities_are_replaced_and_nothing_that_may_show_a_name_passes() -> None:
    assert Policy().deidentify
    assert not Policy().allow_burned_in
