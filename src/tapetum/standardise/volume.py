"""A series -> one `Image`: LPS, millimetres, true spacing, physical units, and what was noticed.

In: rows of the catalogue and a way to open their blobs.  Out: an image.  DICOM headers are read first and pixels one
object at a time after, so that memory holds one volume and one object.  Start reading at `to_image`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset

from tapetum.formats import mosaic, nifti, nrrd, parametric_map, picture, vendor
from tapetum.formats.damage import parsing
from tapetum.formats.pixels import decode
from tapetum.model import Geometry, Image, Instance, Notice, Quantity, Series
from tapetum.standardise import greyrange
from tapetum.standardise.planes import number_of, planes_of
from tapetum.standardise.stack import Plane, Stack, arrange, fill
from tapetum.standardise.timing import diffusion_of, film_times, times_of

__all__ = ["METHOD", "open_dataset", "to_image"]

METHOD = "image/2"
"""Version of what `to_image` makes: raise it when the same objects would give another image."""

OpenBlob = Callable[[str], BinaryIO]
Scale = tuple[float, float] | None


def to_image(series: Series, instances: Sequence[Instance], open_blob: OpenBlob) -> Image:
    """Make one image of a series.

    Parameters
    ----------
    series : its row of the catalogue; ``format`` is dicom, nifti, nrrd or picture.
    instances : its instances, in any order, at least one.
    open_blob : gives a seekable binary file for `Instance.blob`.

    Returns
    -------
    Image
        ``zyx`` for slices with a place in the patient, ``tzyx`` when each place was imaged several times, ``yx`` or
        ``yxc`` for a radiograph or a picture, ``tzyx`` (one slice deep) or ``tyxc`` for a film without a place.
        Geometry as `tapetum.standardise.stack.arrange`, values as `tapetum.standardise.greyrange.grey_values`.

    Raises
    ------
    RejectedInput : an object of the series cannot be decoded.
    InvalidGeometry : the slices make no volume.
    ValueError : no instances, or a format that holds no images.

    Notices: those of `arrange`, and several-images, placeless-image, wrong-rescale, rescale-varies.
    """
    if not instances:
        raise ValueError("a series without instances makes no image")
    if series.format == "dicom":
        return _from_dicom(series, instances, open_blob)
    readers = {"nifti": nifti.read, "nrrd": nrrd.read}
    if series.format not in {*readers, "picture"}:
        raise ValueError(f"{series.format!r} is not a format of images")
    first, notices = _first(instances)
    with open_blob(first.blob) as file:
        if series.format == "picture":
            return _from_picture(series, first, picture.read(file), notices)
        array, geometry = readers[series.format](file)
    quantity = greyrange.quantity_of(_header(series.modality))
    values = np.asarray(array, np.float32)
    if series.modality == "CT" and (notice := greyrange.check_hounsfield(values)):
        notices.append(notice)
    axes = "zyx" if values.ndim == 3 else "tzyx"
    return _image(series, [first], values, axes, quantity=quantity, notices=notices, geometry=geometry)


def open_dataset(open_blob: OpenBlob, blob: str, *, pixels: bool = True) -> Dataset:
    """Parse the DICOM object of a blob, with its pixel data or without.

    Raises
    ------
    RejectedInput : unreadable.
    """
    with open_blob(blob) as file, parsing("the object"):
        return pydicom.dcmread(file, stop_before_pixels=not pixels, force=True)


def _from_dicom(series: Series, instances: Sequence[Instance], open_blob: OpenBlob) -> Image:
    planes: list[Plane] = []
    scales: list[Scale] = []
    placed: Dataset | None = None
    placeless = 0
    for source, instance in enumerate(instances):
        header = open_dataset(open_blob, instance.blob, pixels=False)
        with parsing("the place of an image"):
            found = planes_of(header, source)
            scales += [greyrange.rescale_of(header, plane.frame) for plane in found]
        placed = placed or (header if found else None)
        placeless += not found
        planes += found
    if placed is None:
        return _flat(series, instances, open_blob)
    stack = arrange(planes)
    array = _load(stack, instances, open_blob)
    notices = [*stack.notices, *_rescale_notices(series.modality, scales)]
    if placeless:
        text = f"{placeless} of {len(instances)} objects have no place in the patient and were left out"
        notices.append(Notice("placeless-image", text))
    with parsing("the grey range of an image"):
        mapping = parametric_map.mapping_of(placed)
        quantity = mapping[2] if mapping else greyrange.quantity_of(placed)
    if quantity == greyrange.HOUNSFIELD and (notice := greyrange.check_hounsfield(array)):
        notices.append(notice)
    kept = sorted({plane.source for moment in stack.planes for plane in moment})
    axes = "tzyx" if len(stack.planes) > 1 else "zyx"
    array = array if axes == "tzyx" else array[0]
    used = [instances[source] for source in kept]
    image = _image(series, used, array, axes, quantity=quantity, notices=notices, geometry=stack.geometry)
    b_values, b_vectors = diffusion_of(stack)
    return replace(image, times_s=times_of(stack), b_values=b_values, b_vectors=b_vectors)


def _load(stack: Stack, instances: Sequence[Instance], open_blob: OpenBlob) -> NDArray[np.float32]:
    """(t, z, y, x) values on the stack's grid. Each object is opened once, whichever of its frames are wanted."""
    wanted: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for time, moment in enumerate(stack.planes):
        for depth, plane in enumerate(moment):
            wanted[plane.source].append((time, depth, plane.frame))
    shape = stack.planes[0][0].shape
    slices = np.empty((len(stack.planes), len(stack.planes[0]), *shape), np.float32)
    for source, places in wanted.items():
        dataset = open_dataset(open_blob, instances[source].blob)
        pixels = _frames(dataset)
        with parsing("the grey range of an image"):
            for time, depth, frame in places:
                mapping = parametric_map.mapping_of(dataset, frame)
                slices[time, depth] = (
                    parametric_map.real_values(pixels[frame], mapping)
                    if mapping
                    else greyrange.grey_values(pixels[frame], dataset, frame)
                )
    if slices.shape[1:] == stack.geometry.shape and not stack.shifts.any():
        return slices
    return np.stack([fill(stack, moment) for moment in slices])


def _frames(dataset: Dataset) -> NDArray[Any]:
    """(frames, y, x) stored values; the tiles of a mosaic are its frames."""
    pixels = decode(dataset)
    vendor.add_standard(dataset)
    layout = mosaic.layout_of(dataset)
    return mosaic.split(pixels[0], layout) if layout else pixels


def _rescale_notices(modality: str, scales: Sequence[Scale]) -> list[Notice]:
    """What is odd about the rescale of the frames. PET scales each slice on its own; elsewhere that is unusual."""
    notices = []
    impossible = sum(scale is None for scale in scales)
    if impossible:
        text = f"{impossible} image(s) have a rescale slope of zero or a value that is no number; left as stored"
        notices.append(Notice("wrong-rescale", text))
    if modality != "PT" and len(set(scales)) > 1:
        text = f"{len(set(scales))} different rescales in one series; each was applied to its own image"
        notices.append(Notice("rescale-varies", text))
    return notices


def _flat(series: Series, instances: Sequence[Instance], open_blob: OpenBlob) -> Image:
    """A radiograph, a colour image or a film: frames that have no place in the patient."""
    first, notices = _first(instances)
    dataset = open_dataset(open_blob, first.blob)
    pixels = decode(dataset)
    if pixels.ndim == 4:
        array: NDArray[Any] = greyrange.to_rgb(pixels, _colour_bits(pixels, dataset))
        quantity, axes = Quantity("colour", "1"), "yxc"
    else:
        with parsing("the grey range of an image"):
            array = np.stack([greyrange.grey_values(one, dataset, frame) for frame, one in enumerate(pixels)])
            quantity, axes = greyrange.quantity_of(dataset), "yx"
            scales = [greyrange.rescale_of(dataset, frame) for frame in range(len(pixels))]
        notices += _rescale_notices(series.modality, scales)
    if len(array) == 1:
        return _image(series, [first], array[0], axes, quantity=quantity, notices=notices)
    film = array if axes == "yxc" else array[:, None]
    axes = "tyxc" if axes == "yxc" else "tzyx"
    image = _image(series, [first], film, axes, quantity=quantity, notices=notices)
    with parsing("the times of a film"):
        return replace(image, times_s=film_times(dataset, len(film)))


def _colour_bits(pixels: NDArray[Any], dataset: Dataset) -> int:
    return 8 if pixels.dtype == np.uint8 else int(dataset.BitsStored)


def _from_picture(series: Series, first: Instance, array: NDArray[Any], notices: list[Notice]) -> Image:
    bits = 8 * array.dtype.itemsize
    if array.ndim == 3:
        rgb = greyrange.to_rgb(array, bits)
        return _image(series, [first], rgb, "yxc", quantity=Quantity("colour", "1"), notices=notices)
    quantity = Quantity(f"grey value from 0 to {(1 << bits) - 1}", greyrange.ARBITRARY)
    return _image(series, [first], array.astype(np.float32), "yx", quantity=quantity, notices=notices)


def _first(instances: Sequence[Instance]) -> tuple[Instance, list[Notice]]:
    """The first instance by number, then UID; a notice when others are left behind."""
    ordered = sorted(instances, key=lambda one: (_order(one), one.sop_instance_uid))
    if len(ordered) == 1:
        return ordered[0], []
    text = f"{len(ordered)} images that make no volume; the first was taken"
    return ordered[0], [Notice("several-images", text)]


def _order(instance: Instance) -> float:
    number = number_of(instance.attributes.get("InstanceNumber"))
    return number if np.isfinite(number) else 0.0


def _header(modality: str) -> Dataset:
    header = Dataset()
    header.Modality = "" if modality in greyrange.PROJECTIONS else modality
    return header


def _image(
    series: Series,
    used: Sequence[Instance],
    array: NDArray[Any],
    axes: str,
    *,
    quantity: Quantity,
    notices: Sequence[Notice],
    geometry: Geometry | None = None,
) -> Image:
    codes = [notice.code for notice in notices]
    mended = [code for code in ("missing-slice", "uneven-spacing", "gantry-tilt") if code in codes]
    return Image(
        array,
        axes,
        quantity,
        modality=series.modality,
        series_instance_uid=series.series_instance_uid,
        instances=tuple(instance.sop_instance_uid for instance in used),
        steps=(
            f"read {len(used)} {series.format}",
            f"values as {quantity.name}",
            *(f"mended {code}" for code in mended),
        ),
        geometry=geometry,
        notices=tuple(notices),
    )
