"""The name of a brain scan in the Brain Imaging Data Structure (BIDS 1.10), and the JSON beside it.

In: the header of a series and its `Image`.  Out: folder, suffix and entities, or the reason why there is no name.
The rule stands in `contrast_of`; it looks at what the scanner did, and at words of the description only for the task.
Start reading at `name_of`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue

from tapetum.formats.frames import frame_value
from tapetum.formats.nifti_out import repetition_s
from tapetum.model import Image

__all__ = ["BIDS_VERSION", "BidsName", "Unnamed", "contrast_of", "label", "name_of", "sidecar"]

BIDS_VERSION = "1.10.0"
BRAIN = {"", "BRAIN", "HEAD", "SKULL", "NEURO"}
MAPS = {
    "ADC",
    "FA",
    "TRACEW",
    "EADC",
    "TENSOR",
    "CBF",
    "CBV",
    "MTT",
    "TTP",
    "PHASE MAP",
    "MIP",
    "MPR",
    "PROJECTION IMAGE",
}
FEWEST_BOLD = 10  # time points: fewer are a test or a reference scan
MS = 1000.0
COPIED = {
    "Manufacturer": "Manufacturer",
    "ManufacturerModelName": "ManufacturersModelName",
    "SoftwareVersions": "SoftwareVersions",
    "MagneticFieldStrength": "MagneticFieldStrength",
    "ReceiveCoilName": "ReceiveCoilName",
    "ScanningSequence": "ScanningSequence",
    "SequenceVariant": "SequenceVariant",
    "ScanOptions": "ScanOptions",
    "SequenceName": "SequenceName",
    "MRAcquisitionType": "MRAcquisitionType",
    "FlipAngle": "FlipAngle",
    "SliceThickness": "SliceThickness",
    "SpacingBetweenSlices": "SpacingBetweenSlices",
    "PixelBandwidth": "PixelBandwidth",
    "ImageType": "ImageType",
    "BodyPartExamined": "BodyPart",
    "SeriesDescription": "SeriesDescription",
    "ProtocolName": "ProtocolName",
}
IN_SECONDS = ("EchoTime", "InversionTime", "RepetitionTime")
NUMBERS = {"MagneticFieldStrength", "FlipAngle", "SliceThickness", "SpacingBetweenSlices", "PixelBandwidth"}


class Unnamed(ValueError):
    """BIDS has no name for a series; the message says why, in words for its user."""


@dataclass(frozen=True, slots=True)
class BidsName:
    """Where a series lies: ``sub-x/ses-y/folder/sub-x_ses-y_<entities>_<suffix>``."""

    subject: str
    session: str
    folder: str
    suffix: str
    entities: tuple[tuple[str, str], ...] = ()

    def path(self, run: int = 1) -> str:
        """The path without an ending; ``run`` tells further scans of one name apart."""
        lead = [f"sub-{self.subject}", *([f"ses-{self.session}"] if self.session else [])]
        more = [*self.entities, *([("run", str(run))] if run > 1 else [])]
        stem = "_".join([*lead, *(f"{key}-{value}" for key, value in more), self.suffix])
        return "/".join([*lead, self.folder, stem])


def name_of(header: Dataset, image: Image, *, patient_key: str, study_date: str) -> BidsName:
    """Name one MR series of the head.

    Parameters
    ----------
    header : of one of its objects.
    image : the whole of it.
    patient_key, study_date : become subject and session.

    Raises
    ------
    Unnamed : no MR; not of the head; a localiser; derived; a contrast that the rule does not know.
    """
    folder, suffix = contrast_of(header, image)
    entities: list[tuple[str, str]] = []
    if folder == "func":
        entities.append(("task", task_of(header)))
    if folder == "anat" and header.get("ContrastBolusAgent"):
        entities.append(("ce", "contrast"))
    return BidsName(label(patient_key), label(study_date) if study_date else "", folder, suffix, tuple(entities))


def contrast_of(header: Dataset, image: Image) -> tuple[str, str]:
    """The BIDS folder and suffix of an MR series of the head.

    - ``dwi/dwi``: a diffusion weighting above zero is known.
    - ``func/bold``: echo-planar, at least ten time points with seconds, no contrast agent.
    - ``anat``: one volume. Inversion recovery with spin echo, or an inversion time of 1.5 s and more with an echo of
      60 ms and more: FLAIR. Inversion recovery with gradient echo: T1w. Spin echo: T1w (TE < 30 ms, TR < 1.2 s), PDw
      (TE < 30 ms, TR >= 2 s), T2w (TE >= 60 ms, TR >= 2 s). Gradient echo: T2starw (TE >= 15 ms), T1w (TE < 10 ms,
      TR < 50 ms, flip angle >= 8 degrees).

    Raises
    ------
    Unnamed : everything else.
    """
    _refuse_what_is_no_brain_scan(header, image)
    if any(value > 0 for value in image.b_values):
        return "dwi", "dwi"
    words = _words(header)
    kinds = _values(header, "ImageType")
    if "ASL" in kinds or "asl" in words:
        raise Unnamed("arterial spin labelling, which BIDS takes with the context of each volume, and none is known")
    if image.axes == "tzyx":
        echo_planar = "EP" in _values(header, "ScanningSequence") or "ECHO_PLANAR" in kinds
        enough = len(image.array) >= FEWEST_BOLD and image.times_s
        if echo_planar and enough and not header.get("ContrastBolusAgent"):
            return "func", "bold"
        raise Unnamed("several time points that are no functional MRI (echo-planar, timed, without contrast agent)")
    return "anat", _anatomy(header)


def task_of(header: Dataset) -> str:
    """The task of a functional scan, from the words of its description; ``unknown`` where there are none."""
    text = " ".join(str(header.get(keyword) or "") for keyword in ("SeriesDescription", "ProtocolName")).lower()
    named = re.search(r"task[-_ ]?([a-z0-9]+)", text)
    if named:
        return named.group(1)
    return "rest" if re.search(r"\b(rest|resting|rsfmri|rs)\b|rest", text) else "unknown"


def label(text: str) -> str:
    """A BIDS label: letters and digits. What loses characters gets a digest, so that different texts stay different."""
    kept = re.sub(r"[^A-Za-z0-9]", "", text)
    return kept if kept == text else kept + sha256(text.encode()).hexdigest()[:8]


def sidecar(header: Dataset, image: Image, name: BidsName | None = None) -> dict[str, Any]:
    """The keys of BIDS that the header and the image know; times in seconds.

    ``RepetitionTime`` is that of the time points where they are even; where they are not, ``VolumeTiming`` stands.
    """
    found: dict[str, Any] = {"Modality": image.modality, "SeriesInstanceUID": image.series_instance_uid}
    for keyword, key in COPIED.items():
        value = header.get(keyword)
        if value not in (None, ""):
            found[key] = _plain(value, number=keyword in NUMBERS)
    for keyword in IN_SECONDS:
        value = _number(header, keyword)
        if value is not None and value > 0:
            found[keyword] = round(value / MS, 9)
    if repetition := repetition_s(image):
        found["RepetitionTime"] = repetition
    elif image.times_s:
        found.pop("RepetitionTime", None)
        found["VolumeTiming"] = list(image.times_s)
    if name is not None and name.folder == "func":
        found["TaskName"] = dict(name.entities)["task"]
    found["Units"] = image.quantity.unit
    return found


def _refuse_what_is_no_brain_scan(header: Dataset, image: Image) -> None:
    kinds = _values(header, "ImageType")
    if image.modality != "MR":
        raise Unnamed(f"modality {image.modality or 'unknown'}: the rule names MR only")
    if str(header.get("BodyPartExamined") or "").upper() not in BRAIN:
        raise Unnamed("the body part is not the head")
    if "LOCALIZER" in kinds or _words(header) & {"localizer", "localiser", "scout", "survey"}:
        raise Unnamed("a localiser")
    if kinds and (kinds[0] == "DERIVED" or MAPS & set(kinds)):
        raise Unnamed("derived, not acquired")


def _anatomy(header: Dataset) -> str:
    sequence = set(_values(header, "ScanningSequence"))
    pulse = str(frame_value(header, 0, "MRPulseSequence", "EchoPulseSequence") or header.get("EchoPulseSequence") or "")
    spin, gradient = "SE" in sequence or pulse == "SPIN", "GR" in sequence or pulse == "GRADIENT"
    echo, repeat = _number(header, "EchoTime"), _number(header, "RepetitionTime")
    inversion = _number(header, "InversionTime") or 0.0
    if echo is None or repeat is None or not (spin or gradient or "IR" in sequence):
        raise Unnamed("the header does not say enough of the sequence (Scanning Sequence, Echo and Repetition Time)")
    if inversion >= 1500 and echo >= 60:
        return "FLAIR"
    if gradient and ("IR" in sequence or inversion > 0):
        return "T1w"
    found = _of_spin_echo(echo, repeat) if spin and "IR" not in sequence else ""
    found = found or (_of_gradient_echo(echo, repeat, _number(header, "FlipAngle") or 0.0) if gradient else "")
    if not found:
        raise Unnamed("echo, repetition and inversion time are those of no contrast that the rule knows")
    return found


def _of_spin_echo(echo: float, repeat: float) -> str:
    if echo < 30:
        return "T1w" if repeat < 1200 else "PDw" if repeat >= 2000 else ""
    return "T2w" if echo >= 60 and repeat >= 2000 else ""


def _of_gradient_echo(echo: float, repeat: float, flip: float) -> str:
    if echo >= 15:
        return "T2starw"
    return "T1w" if echo < 10 and repeat < 50 and flip >= 8 else ""


def _values(header: Dataset, keyword: str) -> list[str]:
    value = header.get(keyword)
    return [str(one).upper() for one in (value if isinstance(value, MultiValue) else [value]) if one]


def _words(header: Dataset) -> set[str]:
    text = " ".join(str(header.get(keyword) or "") for keyword in ("SeriesDescription", "ProtocolName", "SequenceName"))
    return set(re.split(r"[^a-z0-9]+", text.lower()))


ENHANCED: Mapping[str, tuple[str, str]] = {
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime"),
    "RepetitionTime": ("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
    "FlipAngle": ("MRTimingAndRelatedParametersSequence", "FlipAngle"),
    "InversionTime": ("MRModifierSequence", "InversionTimes"),
}


def _number(header: Dataset, keyword: str) -> float | None:
    """A number of the sequence, from the header or the functional groups of an enhanced object."""
    value = header.get(keyword)
    if value is None and keyword in ENHANCED:
        value = frame_value(header, 0, *ENHANCED[keyword])
    try:
        return float(value[0] if isinstance(value, MultiValue) else value)
    except (TypeError, ValueError, IndexError):
        return None


def _plain(value: Any, *, number: bool) -> Any:
    if isinstance(value, MultiValue):
        return [str(one) for one in value]
    return float(value) if number else str(value)
