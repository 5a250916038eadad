"""
From slices to features
=======================

A virtual patient goes the way of a real one: DICOM slices and a segmentation are
acquired, become a volume in Hounsfield units with a region on its grid, and are described
by features with IBSI codes.
"""

# %%
# Thirty slices, each 2.5 mm from the next, and a lesion that somebody has outlined. One
# slice has been lost on the way.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tapetum import Workspace
from tapetum.testing import dicom_series, segmentation, to_bytes

slices = dicom_series(slices=30, rows=96, columns=96, spacing_mm=(2.5, 0.8, 0.8), noise=25)
z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (30, 96, 96)), indexing="ij")
lesion = z**2 + y**2 + x**2 <= 0.25**2  # in parts of each half axis
drawing = segmentation(slices, {"lesion": lesion})
arrived = [*slices[:5], *slices[6:], drawing]

# %%
# Take them in. The names of the files say nothing, their order neither.
folder = Path(tempfile.mkdtemp())
(folder / "export").mkdir()
for number, one in enumerate(arrived):
    (folder / "export" / f"IM{997 * number % 1009}").write_bytes(to_bytes(one))
hospital = Workspace.create(folder / "hospital")
tally = hospital.acquire([folder / "export"])
print(dict(tally.outcomes))

# %%
# The volume knows its place in the patient, its unit, and what was noticed about it.
uid = hospital.series().filter(modality="CT")["series_instance_uid"][0]
image, (region,) = hospital.image(uid), hospital.regions(uid)
print(image.axes, image.array.shape, image.geometry.spacing_mm, image.quantity)
for notice in image.notices:
    print(notice.code, "-", notice.message)

# %%
# In millimetres, three cuts through the centre of the lesion.
centre = np.argwhere(region.array).mean(axis=0).round().astype(int)
spacing = image.geometry.spacing_mm
fig, axes = plt.subplots(1, 3, figsize=(10, 3.6), layout="constrained")
for axis, (ax, name) in enumerate(zip(axes, ("axial", "coronal", "sagittal"), strict=True)):
    row, column = (i for i in range(3) if i != axis)
    cut, mask = image.array.take(centre[axis], axis), region.array.take(centre[axis], axis)
    extent = (0, cut.shape[1] * spacing[column], cut.shape[0] * spacing[row], 0)
    shown = ax.imshow(cut, cmap="gray", vmin=-200, vmax=300, extent=extent)
    ax.contour(
        mask, levels=[0.5], colors="#ffd166", linewidths=2, extent=extent, origin="upper"
    )
    ax.set(title=name, xlabel="mm")
fig.colorbar(shown, ax=axes, label="Hounsfield units", shrink=0.8)
plt.show()

# %%
# Every feature has a name, a unit and, where IBSI defines it, IBSI's code. They lie in
# one long table.
hospital.describe("radiomics", modality="CT")
rows = hospital.observations().filter(region="lesion")
wanted = [
    "stat_mean",
    "stat_median",
    "morph_volume_mesh",
    "morph_sphericity",
    "glcm_contrast",
]
for row in rows.filter(rows["name"].is_in(wanted)).iter_rows(named=True):
    number = f"{row['value']:10.2f} {row['unit']:<9}"
    print(f"{row['name']:<20} {number} {row['scheme']} {row['code']}")

# %%
# How the grey values of the lesion stand against those of its surroundings.
around = np.zeros_like(region.array)
low, high = np.argwhere(region.array).min(axis=0), np.argwhere(region.array).max(axis=0)
around[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))] = True
fig, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
bins = np.arange(-60, 240, 10)
ax.hist(
    image.array[around & ~region.array],
    bins,
    density=True,
    color="#9fb4ba",
    label="around it",
)
ax.hist(
    image.array[region.array],
    bins,
    density=True,
    color="#0b6b78",
    alpha=0.8,
    label="lesion",
)
ax.set(xlabel="Hounsfield units", ylabel="share of voxels per HU")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False)
plt.show()
