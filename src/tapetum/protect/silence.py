"""No identity in messages: pydicom quotes header values in its warnings and log lines, so it is not to be heard."""

from __future__ import annotations

import logging
import warnings

__all__ = ["silence_parsers"]


def silence_parsers() -> None:
    """Keep pydicom's warnings and log lines, which quote raw values, out of the terminal and every log.

    Called by whatever opens patients' files in a process: the workspace and each worker. What matters of an odd value
    becomes a rejection or a notice, by tag and without the value.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="pydicom")
