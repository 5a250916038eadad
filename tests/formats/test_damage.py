import struct
import warnings

import pytest
from pydicom.errors import BytesLengthException

from tapetum.errors import InvalidGeometry, RejectedInput
from tapetum.formats.damage import parsing


@pytest.mark.parametrize("kind", [ValueError, KeyError, struct.error, NotImplementedError, BytesLengthException])
def test_what_damaged_values_raise_becomes_unreadable_without_quoting_them(kind: type[Exception]) -> None:
    with pytest.raises(RejectedInput) as caught, parsing("the header"):
        raise kind("Doe^Jane")
    assert caught.value.code == "unreadable"
    assert "Doe" not in str(caught.value)


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(InvalidGeometry), parsing("the header"):
        raise InvalidGeometry("empty grid")


def test_odd_values_are_not_worth_a_warning() -> None:
    with parsing("the header"):
        warnings.warn("Invalid value for VR UI", UserWarning, stacklevel=1)
