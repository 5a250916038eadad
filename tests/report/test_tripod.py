from tapetum.report.tripod import ITEMS, answers


def test_the_checklist_has_its_52_items_once_each() -> None:
    """27 items with their sub-items: Collins et al. 2024, BMJ 385:e078378, table 2."""
    assert len({item.number for item in ITEMS}) == len(ITEMS) == 52
    assert sorted({int(item.number.rstrip("abcdefg")) for item in ITEMS}) == list(range(1, 28))


def test_what_nobody_said_is_not_reported() -> None:
    assert {answer.status for answer in answers({}, sections=set())} == {"not reported"}


def test_an_item_is_answered_only_by_a_section_that_is_there() -> None:
    found = {answer.item.number: answer for answer in answers({"study": {"question": "Why?"}}, sections={"question"})}
    assert (found["4"].status, found["4"].section, found["4"].text) == ("here", "summary", "Why?")
    assert found["23b"].status == "not reported"
