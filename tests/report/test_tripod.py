from collections.abc import Callable
from dataclasses import replace

from tapetum.learn.result import StudyResult
from tapetum.report.tripod import ITEMS, answers, stated


def test_the_checklist_has_its_52_items_once_each() -> None:
    """27 items with their sub-items: Collins et al. 2024, BMJ 385:e078378, table 2."""
    assert len({item.number for item in ITEMS}) == len(ITEMS) == 52
    assert sorted({int(item.number.rstrip("abcdefg")) for item in ITEMS}) == list(range(1, 28))


def test_what_nobody_said_is_not_reported() -> None:
    assert {answer.status for answer in answers({}, sections=set())} == {"not reported"}


def test_an_item_is_answered_only_by_a_section_that_is_there() -> None:
    found = {answer.item.number: answer for answer in answers({"study": {"question": "Why?"}}, sections={"question"})}
    assert (found["4"].status, found["4"].section, found["4"].text) == ("in part", "summary", "Why?")
    assert found["23b"].status == "not reported"


def test_only_figures_of_the_test_sites_answer_the_item_on_centres_in_full() -> None:
    def status(*sections: str) -> str:
        return next(answer.status for answer in answers({}, sections=sections) if answer.item.number == "23b")

    assert (status("sites"), status("sites", "test-sites"), status()) == ("in part", "here", "not reported")


def test_what_only_people_know_is_answered_by_their_words_alone() -> None:
    numbers = {"17": "ethics", "18a": "funding", "18b": "conflicts", "18c": "protocol", "18d": "registration"}
    numbers |= {"18e": "data_availability", "18f": "code_availability"}
    silent = {a.item.number: a.status for a in answers({}, sections={"lineage", "card"})}
    assert [silent[number] for number in numbers] == ["not reported"] * 6 + ["in part"]
    told = answers({"reporting": {key: f"{key}!" for key in numbers.values()}}, sections={"lineage", "card"})
    found = {a.item.number: (a.status, a.text) for a in told}
    assert [found[number] for number in numbers] == [("here", f"{key}!") for key in numbers.values()]


def test_no_weighting_and_no_updating_are_answers(simulated: Callable[..., StudyResult]) -> None:
    result = simulated()
    words = stated(result, model="3f" * 32)
    found = {a.item.number: a for a in answers(result.study, sections={"card", "candidates", "model"}, stated=words)}
    assert [found[number].status for number in ("12f", "13", "22", "24")] == ["here"] * 4
    assert "3f3f" in found["22"].text
    again = replace(result, study={**result.study, "validation": {"final_fit": "everyone"}})
    assert "fitted again on everyone" in stated(again, model="")["12f"]
    assert "24" not in stated(again, model="")


def test_the_sets_are_compared_only_where_there_is_a_test_set() -> None:
    def both(*sections: str) -> list[str]:
        told = {answer.item.number: answer.status for answer in answers({}, sections=sections)}
        return [told["16"], told["20b"], told["20c"]]

    assert both("performance", "characteristics") == ["not reported", "in part", "not reported"]
    assert both("characteristics", "comparison") == ["in part"] * 3
