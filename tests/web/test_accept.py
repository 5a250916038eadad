import pytest

from tapetum.errors import RefusedRequest
from tapetum.web.accept import Accepted, Offer

OBJECTS = [Offer("application/dicom", multipart=True), Offer("application/dicom")]
FRAMES = [Offer("application/octet-stream", True), Offer("image/jp2", True), Offer("application/octet-stream")]


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("", OBJECTS[0]),
        ("*/*", OBJECTS[0]),
        ('multipart/related; type="application/dicom"', OBJECTS[0]),
        ("multipart/related; type=application/dicom", OBJECTS[0]),
        ("multipart/related", OBJECTS[0]),
        ("multipart/*", OBJECTS[0]),
        ('Multipart/Related; TYPE="Application/Dicom"', OBJECTS[0]),
        ("application/dicom", OBJECTS[1]),
        ("application/*", OBJECTS[1]),
        ('application/dicom;q=0.9, multipart/related; type="application/dicom";q=0.5', OBJECTS[1]),
        ("text/html, */*;q=0.1", OBJECTS[0]),
        # RFC 9110 12.5.1: the more exact range counts, whatever the other says.
        ('*/*, multipart/related; type="application/dicom"; q=0', OBJECTS[1]),
        ('image/jpeg, multipart/related; type="application/dicom"; transfer-syntax=*, a/b', OBJECTS[0]),
    ],
)
def test_the_best_offer_is_chosen(header: str, chosen: Offer) -> None:
    assert Accepted(header).choose(OBJECTS) == chosen


@pytest.mark.parametrize("header", ["text/html", "application/dicom+json", "*/*;q=0", 'multipart/related; type="a/b"'])
def test_what_is_not_there_is_refused_with_what_there_is(header: str) -> None:
    with pytest.raises(RefusedRequest) as caught:
        Accepted(header).choose(OBJECTS)
    assert caught.value.status == 406
    assert 'multipart/related; type="application/dicom"' in caught.value.hint


def test_the_default_of_dicomweb_client_for_frames_is_taken() -> None:
    assert Accepted('multipart/related; type="*/*"').choose(FRAMES) == FRAMES[0]


def test_a_comma_in_quotes_does_not_end_a_range() -> None:
    assert Accepted('a/b; x="1,2", application/dicom').choose(OBJECTS) == OBJECTS[1]


@pytest.mark.parametrize(
    ("header", "syntaxes"),
    [
        ('multipart/related; type="application/octet-stream"', {""}),
        ('multipart/related; type="application/octet-stream"; transfer-syntax=*', {"*"}),
        ('multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1, '
         'multipart/related; type="application/octet-stream"; transfer-syntax="1.2.840.10008.1.2.4.90"',
         {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.90"}),
        ("*/*", {""}),
    ],
)  # fmt: skip
def test_transfer_syntaxes_are_those_of_the_most_exact_ranges(header: str, syntaxes: set[str]) -> None:
    assert Accepted(header).syntaxes(FRAMES[0]) == syntaxes


def test_a_broken_quality_counts_as_one_and_a_flood_of_ranges_is_cut() -> None:
    assert Accepted("application/dicom; q=much").accepts(OBJECTS[1])
    assert not Accepted(", ".join(["a/b"] * 100 + ["application/dicom"])).accepts(OBJECTS[1])
