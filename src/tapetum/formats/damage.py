"""Damaged bytes -> one error. pydicom converts values late and raises whatever its converters meet.

Start reading at `parsing`.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.errors import BytesLengthException

from tapetum.errors import RejectedInput

__all__ = ["parsing"]

DAMAGE = (
    ValueError,
    TypeError,
    AttributeError,
    KeyError,
    IndexError,
    OSError,
    EOFError,
    OverflowError,
    RuntimeError,  # imagecodecs
    struct.error,
    BytesLengthException,
)


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Within it, whatever pydicom or a codec raises on damaged values becomes ``unreadable``, and it warns of none.

    Parameters
    ----------
    what : is being parsed, for the message. The text of the original error is left out: it may quote a value.

    Raises
    ------
    RejectedInput : unreadable.
    """
    try:
        with warnings.catch_warnings():
            # A value that breaks its VR's rules was so at its source; it is judged by its use.
            warnings.simplefilter("ignore", UserWarning)
            yield
    except DAMAGE as error:
        raise RejectedInput("unreadable", f"{what} cannot be parsed", kind=type(error).__name__) from error
