"""What is taken: every storage class and every transfer syntax of the standard."""

from __future__ import annotations

from pydicom.uid import AllTransferSyntaxes
from pynetdicom.presentation import AllStoragePresentationContexts

from tapetum.dimse.classes import choose, is_deflated, is_transfer_syntax, service_of

EXPLICIT, IMPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{ending}" for ending in (".1", "", ".2", ".1.99"))
JPEG_2000, JPIP = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.94"


def test_every_storage_class_that_pynetdicom_knows_is_stored() -> None:
    classes = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    assert len(classes) > 150
    assert {service_of(uid) for uid in classes} == {"store"}


def test_other_classes_have_their_services_or_none() -> None:
    assert service_of("1.2.840.10008.1.1") == "echo"
    assert service_of("1.2.840.10008.5.1.4.1.2.2.1") == "find"
    assert service_of("1.2.840.10008.1.20.1") == "commit"
    assert service_of("1.2.840.10008.5.1.4.31") is None  # Modality Worklist
    assert service_of("1.2.276.0.7230010.3.1.0.1") is None
    assert service_of("1.2.276.0.7230010.3.1.0.1", unknown=True) == "store"
    assert service_of("1.2.840.10008.5.1.4.31", unknown=True) is None
    assert service_of("", unknown=True) is None


def test_every_transfer_syntax_in_which_pixels_are_part_of_the_object_is_taken() -> None:
    refused = {str(uid) for uid in AllTransferSyntaxes if not is_transfer_syntax(uid)}
    assert all(uid.startswith(("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.20",
                               "1.2.840.10008.1.2.7")) for uid in refused), refused  # fmt: skip
    assert all(is_transfer_syntax(f"1.2.840.10008.1.2{ending}") for ending in (".4.110", ".4.111", ".4.112", ".8.1"))
    assert not is_transfer_syntax("1.2.840.113619.5.2")


def test_the_senders_first_explicit_or_compressed_encoding_is_taken() -> None:
    assert choose([IMPLICIT, JPEG_2000, EXPLICIT], "store") == JPEG_2000
    assert choose([EXPLICIT, BIG, IMPLICIT], "store") == EXPLICIT
    assert choose([BIG, IMPLICIT], "store") == IMPLICIT
    assert choose([BIG], "store") == BIG
    assert choose([JPIP, "1.2.3"], "store") is None


def test_what_we_send_is_plain_where_it_can_be() -> None:
    assert choose([JPEG_2000, EXPLICIT], "store", we_send=True) == EXPLICIT
    assert choose([JPEG_2000], "store", we_send=True) == JPEG_2000
    assert choose([BIG, IMPLICIT], "find") == IMPLICIT
    assert choose([BIG, DEFLATED], "find") is None


def test_only_a_deflated_data_set_cannot_be_looked_into() -> None:
    assert is_deflated(DEFLATED)
    assert not is_deflated(EXPLICIT)
