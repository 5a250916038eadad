"""Names, IBSI codes and units of all features, in the order in which they come out. Start reading at `TERMS`.

Source: IBSI reference manual (Zwanenburg et al., arXiv:1612.07003v11), chapter 3: feature names and their permanent
four-character identifiers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tapetum.model import Code

__all__ = ["TERMS", "Term", "feature_name", "unit_of"]


@dataclass(frozen=True, slots=True)
class Term:
    """One feature: its name in tables, its code, and its unit, in which ``{u}`` stands for the image's unit."""

    name: str
    code: Code
    unit: str = "1"


Rows = tuple[tuple[str, ...], ...]

_STATISTICS: Rows = (
    ("Mean", "Q4LE", "{u}"),
    ("Variance", "ECT3", "{u2}"),
    ("Skewness", "KE2A"),
    ("(Excess) kurtosis", "IPH6"),
    ("Median", "Y12H", "{u}"),
    ("Minimum", "1GSF", "{u}"),
    ("10th percentile", "QG58", "{u}"),
    ("90th percentile", "8DWT", "{u}"),
    ("Maximum", "84IY", "{u}"),
    ("Interquartile range", "SALO", "{u}"),
    ("Range", "2OJQ", "{u}"),
    ("Mean absolute deviation", "4FUA", "{u}"),
    ("Robust mean absolute deviation", "1128", "{u}"),
    ("Median absolute deviation", "N72L", "{u}"),
    ("Coefficient of variation", "7TET"),
    ("Quartile coefficient of dispersion", "9S40"),
    ("Energy", "N8CA", "{u2}"),
    ("Root mean square", "5ZWQ", "{u}"),
)
_HISTOGRAM: Rows = (
    ("Mean", "X6K6"),
    ("Variance", "CH89"),
    ("Skewness", "88K1"),
    ("(Excess) kurtosis", "C3I7"),
    ("Median", "WIFQ"),
    ("Minimum", "1PR8"),
    ("10th percentile", "GPMT"),
    ("90th percentile", "OZ0C"),
    ("Maximum", "3NCY"),
    ("Mode", "AMMC"),
    ("Interquartile range", "WR0O"),
    ("Range", "5Z3W"),
    ("Mean absolute deviation", "D2ZX"),
    ("Robust mean absolute deviation", "WRZB"),
    ("Median absolute deviation", "4RNL"),
    ("Coefficient of variation", "CWYJ"),
    ("Quartile coefficient of dispersion", "SLWD"),
    ("Entropy", "TLU2"),
    ("Uniformity", "BJ5W"),
    ("Maximum histogram gradient", "12CE"),
    ("Maximum histogram gradient intensity", "8E6O"),
    ("Minimum histogram gradient", "VQB3"),
    ("Minimum histogram gradient intensity", "RHQZ"),
)
_VOLUME_HISTOGRAM: Rows = (
    ("Volume fraction at 10% intensity", "BC2M"),
    ("Volume fraction at 90% intensity", "BC2M"),
    ("Intensity at 10% volume", "GBPN", "{u}"),
    ("Intensity at 90% volume", "GBPN", "{u}"),
    ("Volume fraction difference between 10% and 90% intensity", "DDTU"),
    ("Intensity difference between 10% and 90% volume", "CNV2", "{u}"),
    ("Area under the IVH curve", "9CMM"),
)
_MORPHOLOGY: Rows = (
    ("Volume (mesh)", "RNU0", "mm3"),
    ("Volume (voxel counting)", "YEKZ", "mm3"),
    ("Surface area (mesh)", "C0JK", "mm2"),
    ("Surface to volume ratio", "2PR5", "/mm"),
    ("Compactness 1", "SKGS"),
    ("Compactness 2", "BQWJ"),
    ("Spherical disproportion", "KRCK"),
    ("Sphericity", "QCFX"),
    ("Asphericity", "25C7"),
    ("Centre of mass shift", "KLMA", "mm"),
    ("Maximum 3D diameter", "L0JK", "mm"),
    ("Major axis length", "TDIC", "mm"),
    ("Minor axis length", "P9VJ", "mm"),
    ("Least axis length", "7J51", "mm"),
    ("Elongation", "Q3CK"),
    ("Flatness", "N17B"),
    ("Volume density (AABB)", "PBX1"),
    ("Area density (AABB)", "R59B"),
    ("Volume density (AEE)", "6BDE"),
    ("Area density (AEE)", "RDD2"),
    ("Volume density (convex hull)", "R3ER"),
    ("Area density (convex hull)", "7T7F"),
    ("Integrated intensity", "99N0", "{u}.mm3"),
)
_LOCAL: Rows = (
    ("Local intensity peak", "VJGA", "{u}"),
    ("Global intensity peak", "0F91", "{u}"),
)
_SPATIAL: Rows = (
    ("Moran's I index", "N365"),
    ("Geary's C measure", "NPT7"),
)
_COOCCURRENCE: Rows = (
    ("Joint maximum", "GYBY"),
    ("Joint average", "60VM"),
    ("Joint variance", "UR99"),
    ("Joint entropy", "TU9B"),
    ("Difference average", "TF7R"),
    ("Difference variance", "D3YU"),
    ("Difference entropy", "NTRS"),
    ("Sum average", "ZGXS"),
    ("Sum variance", "OEEB"),
    ("Sum entropy", "P6QZ"),
    ("Angular second moment", "8ZQL"),
    ("Contrast", "ACUI"),
    ("Dissimilarity", "8S9J"),
    ("Inverse difference", "IB1Z"),
    ("Normalised inverse difference", "NDRX"),
    ("Inverse difference moment", "WF0Z"),
    ("Normalised inverse difference moment", "1QCO"),
    ("Inverse variance", "E8JP"),
    ("Correlation", "NI2N"),
    ("Autocorrelation", "QWB0"),
    ("Cluster tendency", "DG8W"),
    ("Cluster shade", "7NFM"),
    ("Cluster prominence", "AE86"),
    ("Information correlation 1", "R8DG"),
    ("Information correlation 2", "JN9H"),
)
_RUN_LENGTH: Rows = (
    ("Short runs emphasis", "22OV"),
    ("Long runs emphasis", "W4KF"),
    ("Low grey level run emphasis", "V3SW"),
    ("High grey level run emphasis", "G3QZ"),
    ("Short run low grey level emphasis", "HTZT"),
    ("Short run high grey level emphasis", "GD3A"),
    ("Long run low grey level emphasis", "IVPO"),
    ("Long run high grey level emphasis", "3KUM"),
    ("Grey level non-uniformity", "R5YN"),
    ("Normalised grey level non-uniformity", "OVBL"),
    ("Run length non-uniformity", "W92Y"),
    ("Normalised run length non-uniformity", "IC23"),
    ("Run percentage", "9ZK5"),
    ("Grey level variance", "8CE5"),
    ("Run length variance", "SXLW"),
    ("Run entropy", "HJ9O"),
)
_SIZE_ZONE: Rows = (
    ("Small zone emphasis", "5QRC"),
    ("Large zone emphasis", "48P8"),
    ("Low grey level emphasis", "XMSY"),
    ("High grey level emphasis", "5GN9"),
    ("Small zone low grey level emphasis", "5RAI"),
    ("Small zone high grey level emphasis", "HW1V"),
    ("Large zone low grey level emphasis", "YH51"),
    ("Large zone high grey level emphasis", "J17V"),
    ("Grey level non-uniformity", "JNSA"),
    ("Normalised grey level non-uniformity", "Y1RO"),
    ("Zone size non-uniformity", "4JP3"),
    ("Normalised zone size non-uniformity", "VB3A"),
    ("Zone percentage", "P30P"),
    ("Grey level variance", "BYLV"),
    ("Zone size variance", "3NSA"),
    ("Zone size entropy", "GU8N"),
)
_DISTANCE_ZONE: Rows = (
    ("Small distance emphasis", "0GBI"),
    ("Large distance emphasis", "MB4I"),
    ("Low grey level emphasis", "S1RA"),
    ("High grey level emphasis", "K26C"),
    ("Small distance low grey level emphasis", "RUVG"),
    ("Small distance high grey level emphasis", "DKNJ"),
    ("Large distance low grey level emphasis", "A7WM"),
    ("Large distance high grey level emphasis", "KLTH"),
    ("Grey level non-uniformity", "VFT7"),
    ("Normalised grey level non-uniformity", "7HP3"),
    ("Zone distance non-uniformity", "V294"),
    ("Normalised zone distance non-uniformity", "IATH"),
    ("Zone percentage", "VIWW"),
    ("Grey level variance", "QK93"),
    ("Zone distance variance", "7WT1"),
    ("Zone distance entropy", "GBDU"),
)
_TONE_DIFFERENCE: Rows = (
    ("Coarseness", "QCDE"),
    ("Contrast", "65HE"),
    ("Busyness", "NQ30"),
    ("Complexity", "HDEZ"),
    ("Strength", "1X9X"),
)
_DEPENDENCE: Rows = (
    ("Low dependence emphasis", "SODN"),
    ("High dependence emphasis", "IMOQ"),
    ("Low grey level count emphasis", "TL9H"),
    ("High grey level count emphasis", "OAE7"),
    ("Low dependence low grey level emphasis", "EQ3F"),
    ("Low dependence high grey level emphasis", "JA6D"),
    ("High dependence low grey level emphasis", "NBZI"),
    ("High dependence high grey level emphasis", "9QMG"),
    ("Grey level non-uniformity", "FP8K"),
    ("Normalised grey level non-uniformity", "5SPA"),
    ("Dependence count non-uniformity", "Z87G"),
    ("Normalised dependence count non-uniformity", "OKJI"),
    ("Dependence count percentage", "6XV8"),
    ("Grey level variance", "1PFV"),
    ("Dependence count variance", "DNX2"),
    ("Dependence count entropy", "FCBV"),
    ("Dependence count energy", "CAS9"),
)
_FAMILIES: tuple[tuple[str, str, str, Rows], ...] = (
    ("stat", "stat", "intensity-based statistics", _STATISTICS),
    ("ih", "ih", "intensity histogram", _HISTOGRAM),
    ("ivh", "ivh", "intensity-volume histogram", _VOLUME_HISTOGRAM),
    ("morph", "morph", "morphology", _MORPHOLOGY),
    ("loc", "loc", "local intensity", _LOCAL),
    ("spatial", "morph", "morphology", _SPATIAL),
    ("glcm", "glcm", "grey level co-occurrence matrix", _COOCCURRENCE),
    ("glrlm", "glrlm", "grey level run length matrix", _RUN_LENGTH),
    ("glszm", "glszm", "grey level size zone matrix", _SIZE_ZONE),
    ("gldzm", "gldzm", "grey level distance zone matrix", _DISTANCE_ZONE),
    ("ngtdm", "ngtdm", "neighbourhood grey tone difference matrix", _TONE_DIFFERENCE),
    ("ngldm", "ngldm", "neighbouring grey level dependence matrix", _DEPENDENCE),
)


def feature_name(prefix: str, biomarker: str) -> str:
    """The name in tables of a feature that IBSI calls ``biomarker``.

    >>> feature_name("morph", "Moran's I index"), feature_name("ivh", "Intensity at 10% volume")
    ('morph_morans_i_index', 'ivh_intensity_at_10_percent_volume')
    """
    words = biomarker.lower().replace("'", "").replace("%", " percent")
    return f"{prefix}_{re.sub('[^a-z0-9]+', '_', words).strip('_')}"


def unit_of(term: Term, unit: str) -> str:
    """The UCUM unit of a feature of an image whose intensities are in ``unit``.

    >>> [unit_of(TERMS["stat"][1], unit) for unit in ("1", "[hnsf'U]", "Bq/mL")]
    ['1', "[hnsf'U]2", '(Bq/mL).(Bq/mL)']
    """
    if "{" not in term.unit:
        return term.unit
    if unit == "1":
        return term.unit.removeprefix("{u}.") if "mm3" in term.unit else "1"
    # UCUM lets an exponent follow an atom, not a bracketed term.
    atom = re.fullmatch(r"[^\d./()]+", unit) is not None
    return term.unit.format(u=unit if atom else f"({unit})", u2=f"{unit}2" if atom else f"({unit}).({unit})")


def _terms(prefix: str, label: str, rows: Rows) -> tuple[Term, ...]:
    return tuple(
        Term(feature_name(prefix, biomarker), Code(code, "IBSI", f"{biomarker} ({label})"), *unit)
        for biomarker, code, *unit in rows
    )


TERMS: dict[str, tuple[Term, ...]] = {family: _terms(prefix, label, rows) for family, prefix, label, rows in _FAMILIES}
"""The features of each family of `settings.FAMILIES`."""
