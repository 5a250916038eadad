"""The error tree, drawn once.

    TapetumError                 error                1
    ├── RejectedInput            (one of REJECTIONS)  3   one file cannot be used; it goes to the quarantine
    ├── InvalidGeometry          invalid-geometry     1   voxels whose place in the patient is unknown or impossible
    ├── InvalidStudy             invalid-study        2   a study, mapping or settings file is impossible
    ├── InvalidQuery             invalid-query        2   a question names what no catalogue knows, or makes no sense
    ├── NotFound                 not-found            1   a workspace, series, model or blob that is not there
    ├── RefusedRequest           (one of REFUSALS)    1   a request over HTTP that cannot be answered as it was asked
    ├── PeerFailed               (one of PEER_FAILURES) 1 another archive cannot be reached, or does not do what we ask
    ├── LeakageFound             (leakage-...)        4   training and test data know each other
    ├── ValidationFailed         validation-failed    4   the data cannot carry the question
    ├── UntrustedModel           untrusted-model      4   a packaged model was changed or holds what it must not
    └── IdentityExposed          identity-exposed     5   a direct identifier was about to be written

The number is the exit status of the command. Every error carries a stable ``code``, a ``hint`` in the imperative and
its facts as ``context``. Messages hold UIDs, tags and codes, never a patient's name, number or date.
"""

from __future__ import annotations

__all__ = [
    "PEER_FAILURES",
    "REFUSALS",
    "REJECTIONS",
    "IdentityExposed",
    "InvalidGeometry",
    "InvalidQuery",
    "InvalidStudy",
    "LeakageFound",
    "NotFound",
    "PeerFailed",
    "RefusedRequest",
    "RejectedInput",
    "TapetumError",
    "UntrustedModel",
    "ValidationFailed",
]


class TapetumError(Exception):
    """Base of all our errors: ``except TapetumError`` is always enough."""

    code = "error"
    exit_status = 1

    def __init__(self, message: str, *, hint: str = "", **context: object) -> None:
        super().__init__(message)
        self.hint, self.context = hint, context

    def __str__(self) -> str:
        """One line, as the command prints it: message, facts, hint."""
        facts = ", ".join(f"{name} {value}" for name, value in self.context.items())
        return f"{self.args[0]}{f' ({facts})' if facts else ''}{f' - {self.hint}' if self.hint else ''}"


REJECTIONS: dict[str, str] = {
    "empty-file": "the file has no bytes; export it again at its source",
    "unknown-format": "send DICOM, NIfTI, NRRD, PNG, JPEG, TIFF or BMP; this is none of them",
    "truncated": "the file ends too early; transfer it again",
    "unreadable": "the file says what it is but cannot be parsed; open it in another viewer to compare",
    "missing-pixel-data": "the object is an image class without pixel data; ask the sender for the whole object",
    "wrong-transfer-syntax": "the bytes are not in the encoding that the header names; ask the sender to export again",
    "missing-attribute": "an attribute without which the object cannot be placed is missing; complete it at its source",
    "mixed-series": "one Series Instance UID holds images of different patients, studies or modalities; separate them",
    "conflicting-instance": "another object with this SOP Instance UID is stored already; find out which one is right",
    "not-finite": "the image holds NaN or infinite values; export it again or mask them first",
    "picture-bomb": "the picture would unfold to more pixels than allowed; raise acquire.max_pixels if it is genuine",
    "broken-archive": "the archive cannot be opened or read to its end; pack it again",
    "path-traversal": "an archive member points outside the archive; do not trust this archive",
    "archive-bomb": "the archive would unfold to more bytes than allowed; raise acquire.max_bytes if it is genuine",
    "unknown-patient": "name the patient of this file in a mapping (--mapping) and acquire it again",
    "burned-in-text": "the pixels may show the patient's name; look, then repeat with --allow-burned-in",
    "identifier-survived": "a direct identifier was still present after de-identification; report it, keep the file",
    "no-mapping": "say in a mapping (--mapping) what the columns of this table mean",
    "invalid-row": "the row does not fit the mapping; correct the table or the mapping",
    "invalid-resource": "the resource is not FHIR R4; correct it at its source",
    "unidentified-patient": "say in a mapping which identifier counts ([fhir] patient_identifier_system)",
    "unresolved-reference": "send the Patient that the resource is about together with it",
    "patient-mismatch": "the study belongs to another patient in the archive; find out which one is right",
    "unsupported": "this kind of object is not taken in yet",
}
"""Every code a quarantined file can have, with its hint."""


class RejectedInput(TapetumError):
    """One file cannot be used. In a batch it becomes a row of the quarantine, never the end of the batch."""

    exit_status = 3

    def __init__(self, code: str, message: str = "", **context: object) -> None:
        if code not in REJECTIONS:
            raise ValueError(f"{code!r} is not a rejection code")
        super().__init__(message or code.replace("-", " "), hint=REJECTIONS[code], **context)
        self.code = code


class InvalidGeometry(TapetumError):
    """Voxels whose place in the patient is unknown or impossible."""

    code = "invalid-geometry"


class InvalidStudy(TapetumError):
    """A study, mapping or settings file says something impossible."""

    code = "invalid-study"
    exit_status = 2


class InvalidQuery(TapetumError):
    """A question to the catalogue names an attribute that does not exist, or a value that cannot be matched."""

    code = "invalid-query"
    exit_status = 2


class NotFound(TapetumError):
    """A workspace, series, model or blob that is not there."""

    code = "not-found"


REFUSALS: dict[str, int] = {
    "bad-request": 400,
    "not-acceptable": 406,
    "too-slow": 408,
    "too-large": 413,
    "unsupported-media-type": 415,
    "busy": 503,
}
"""Every code a refused request can have, with its HTTP status (RFC 9110)."""


class RefusedRequest(TapetumError):
    """A request over HTTP that cannot be answered as it was asked."""

    def __init__(self, code: str, message: str, *, hint: str = "", **context: object) -> None:
        if code not in REFUSALS:
            raise ValueError(f"{code!r} is not a code of refusal")
        super().__init__(message, hint=hint, **context)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status of the refusal."""
        return REFUSALS[self.code]


PEER_FAILURES: dict[str, str] = {
    "peer-unreachable": "check the address in [peers], the network, and that the peer runs",
    "peer-refused": "check the titles on both sides, and that the peer knows and allows us",
    "peer-lost": "run the same command again: it goes on where it was",
    "peer-failed": "see the log of the peer",
}
"""Every code with which an exchange with a peer can fail, with its hint."""


class PeerFailed(TapetumError):
    """Another archive cannot be reached, does not want us, went away, or could not do what it was asked."""

    def __init__(self, code: str, message: str, **context: object) -> None:
        if code not in PEER_FAILURES:
            raise ValueError(f"{code!r} is not a code of a failed peer")
        super().__init__(message, hint=PEER_FAILURES[code], **context)
        self.code = code


class LeakageFound(TapetumError):
    """Training and test data know each other: the result would be worthless, so there is none."""

    exit_status = 4

    def __init__(self, kind: str, message: str, *, hint: str = "", **context: object) -> None:
        super().__init__(message, hint=hint, **context)
        self.code = f"leakage-{kind}"


class ValidationFailed(TapetumError):
    """The data cannot carry the question (too few patients, one class only)."""

    code = "validation-failed"
    exit_status = 4


class UntrustedModel(TapetumError):
    """A packaged model was changed since it was saved, or holds something that is not a model; it was not opened."""

    code = "untrusted-model"
    exit_status = 4


class IdentityExposed(TapetumError):
    """A direct identifier was about to be written; nothing was written."""

    code = "identity-exposed"
    exit_status = 5
