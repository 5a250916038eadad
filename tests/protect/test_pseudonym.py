from datetime import date

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from tapetum.protect import KEY_BYTES, Pseudonymiser

NAMES, OTHERS = Pseudonymiser(bytes(range(32))), Pseudonymiser(bytes(32))


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=str(KEY_BYTES)):
        Pseudonymiser(b"short")


def test_the_same_person_has_the_same_pseudonym_under_one_key_only() -> None:
    assert NAMES.patient("4711") == NAMES.patient(" 4711 ") != OTHERS.patient("4711")
    assert NAMES.patient("4711") != NAMES.patient("4711", "North")
    own = Pseudonymiser(bytes(range(32)), issuer="North")
    assert own.patient("4711", "North") == own.patient("4711") == NAMES.patient("4711") != own.patient("4711", "South")
    assert NAMES.site("General  Hospital") == NAMES.site("general hospital") != OTHERS.site("general hospital")


@given(st.from_regex(r"1(\.[1-9][0-9]{0,5}){3,8}", fullmatch=True))
def test_a_mapped_uid_is_valid_and_tells_nothing(uid: str) -> None:
    mapped = NAMES.uid(uid)
    assert mapped.is_valid
    assert mapped.startswith("2.25.")
    assert len(mapped) <= 64
    assert mapped == NAMES.uid(uid) != OTHERS.uid(uid)


def test_uids_of_the_standard_stay_and_others_under_its_root_do_not() -> None:
    assert NAMES.uid("1.2.840.10008.5.1.4.1.1.2") == "1.2.840.10008.5.1.4.1.1.2"
    assert NAMES.uid("1.2.840.10008.4711.19610314").startswith("2.25.")


@given(st.dates(date(1900, 1, 1), date(2090, 1, 1)), st.dates(date(1900, 1, 1), date(2090, 1, 1)), st.text(max_size=9))
def test_dates_move_back_and_intervals_stay(first: date, second: date, key: str) -> None:
    moved = NAMES.shift_date(first, key), NAMES.shift_date(second, key)
    assert moved[1] - moved[0] == second - first
    assert 30 <= (first - moved[0]).days <= 3650


def test_digests_know_the_same_bytes_again_in_their_context_only() -> None:
    assert NAMES.digest([b"ab", b"c"]) == NAMES.digest([b"abc"]) != OTHERS.digest([b"abc"])
    assert NAMES.digest([b"abc"], "P-1") != NAMES.digest([b"abc"], "P-2")
    assert NAMES.digest([], "ab", "c") != NAMES.digest([], "a", "bc")


def test_a_sealed_place_is_read_with_the_key_and_with_no_other() -> None:
    place = "/data/Müller/\udcff.dcm"  # a path that is not UTF-8, as Python holds it
    sealed = NAMES.seal(place)
    assert b"ller" not in sealed
    assert NAMES.unseal(sealed) == place
    with pytest.raises(InvalidTag):
        OTHERS.unseal(sealed)


def test_uids_that_dicom_registered_lately_stay_as_they_are() -> None:
    names = Pseudonymiser(b"k" * 32)
    assert names.uid("1.2.840.10008.5.1.4.1.1.66.7") == "1.2.840.10008.5.1.4.1.1.66.7"
    assert names.uid("1.2.840.10008.5.1.4.1.1.66.7.4711").startswith("2.25.")
