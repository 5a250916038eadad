"""
De-identification, before and after
===================================

What is not known to be harmless does not pass. A virtual object with the names that a
hospital writes, and some in places where nobody expects them, before and after.
"""

# %%
import matplotlib.pyplot as plt
from pydicom.dataset import Dataset

from tapetum.formats.elements import tag_of
from tapetum.formats.foreign import from_pydicom
from tapetum.protect import KEY_BYTES, Pseudonymiser, deidentify, identifiers, survivors
from tapetum.testing import dicom_series

arrived = dicom_series(patient_id="4711-0815", patient_name="Doe^Jane")[0]
arrived.SeriesDescription = "Thorax native"
arrived.StudyDescription = "Control of Mrs Doe"  # a name in free text
arrived.OperatorsName = "Smith^Ann"
arrived.ImageComments = "Jane Doe, call husband"
arrived.add_new(0x00091010, "LO", "Doe private")  # a private element
arrived.RequestAttributesSequence = [Dataset()]
arrived.RequestAttributesSequence[0].RequestedProcedureDescription = "CT for Jane Doe"
before = from_pydicom(arrived)

# %%
# The key of a real workspace is random and secret. This one is public, so that the page
# stays the same.
names = Pseudonymiser(bytes(KEY_BYTES))
after = deidentify(before, names)


def fate(tag):
    """What became of an element."""
    if tag not in after:
        return "removed"
    if after.raw(tag) == before.raw(tag):
        return "kept"
    return (
        "emptied"
        if not after.raw(tag)
        else "shifted"
        if after.vr(tag) == "DA"
        else "mapped"
    )


fates = {tag: fate(tag) for tag in before}
colours = {
    "kept": "#0b6b78",
    "mapped": "#57d0b8",
    "shifted": "#ffd166",
    "emptied": "#d7dee0",
    "removed": "#c8553d",
}

# %%
# Element by element: keyed UIDs keep relations, shifted dates keep intervals, the free
# text with a name in it is gone and the one without stays.
wanted = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyInstanceUID",
    "StudyDescription",
    "SeriesDescription",
    "ImageComments",
    "OperatorsName",
    "InstitutionName",
    "RequestAttributesSequence",
    "KVP",
    "PixelSpacing",
    "ImagePositionPatient",
]


def shortened(header, keyword):
    """A value that fits into a cell."""
    value = "(a sequence)" if header.sequence(keyword) else header.text(keyword)
    return value if len(value) < 34 else value[:16] + "…" + value[-16:]


cells = [
    [keyword, shortened(before, keyword), shortened(after, keyword)] for keyword in wanted
]
fig, ax = plt.subplots(figsize=(10.5, 5.2), layout="constrained")
ax.axis("off")
table = ax.table(
    cells,
    colLabels=["element", "before", "after"],
    cellLoc="left",
    colWidths=[0.28, 0.36, 0.36],
    loc="center",
)
table.auto_set_font_size(False)
table.set_fontsize(9.5)
table.scale(1, 1.5)
for (row, column), cell in table.get_celld().items():
    cell.set_edgecolor("#d7dee0")
    if row == 0:
        cell.set_text_props(weight="bold")
    elif column == 2:
        kind = fates[tag_of(wanted[row - 1])]
        cell.set_facecolor(colours[kind] + "40")
        if kind in ("removed", "emptied"):
            cell.get_text().set_text(kind)
plt.show()

# %%
# All elements of the object, by what became of them.
order = ["kept", "mapped", "shifted", "emptied", "removed"]
counts = [list(fates.values()).count(kind) for kind in order]
fig, ax = plt.subplots(figsize=(8, 2.2), layout="constrained")
left = 0
for kind, count in zip(order, counts, strict=True):
    ax.barh(0, count, left=left, color=colours[kind], label=f"{kind} {count}")
    left += count
ax.axis("off")
ax.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, -0.02), frameon=False)
plt.show()

# %%
# The second, independent look: none of the object's own identifiers is left in any text.
own = identifiers(before)
print(sorted(own))
print("left in the result:", survivors(after, own))
