from datetime import date

from tapetum.protect import Pseudonymiser, RealNames

NAMES = RealNames(bytes(32), issuer="North")


def test_inside_a_number_is_itself_and_one_of_another_issuer_names_it() -> None:
    assert NAMES.patient(" 4711 ") == NAMES.patient("4711", "North") == "4711"
    assert NAMES.patient("4711", "South") == "4711^^^South"


def test_inside_uids_sites_and_dates_stay() -> None:
    assert NAMES.uid("1.2.3") == "1.2.3"
    assert NAMES.site("General Hospital") == "General Hospital"
    assert NAMES.shift_date(date(2020, 2, 29), "4711") == date(2020, 2, 29)


def test_what_is_no_uid_becomes_one_that_is_always_the_same() -> None:
    made = NAMES.uid("series:4711::image")
    assert made.is_valid
    assert made == Pseudonymiser(bytes(32)).uid("series:4711::image")


def test_inside_places_are_sealed_as_elsewhere() -> None:
    sealed = NAMES.seal("/in/Miller.dcm")
    assert b"Miller" not in sealed
    assert NAMES.unseal(sealed) == "/in/Miller.dcm"
