"""The unified data standard: one geometry, one grey range, one quality score for whatever came in.

In: a series of the catalogue and its blobs.  Out: an `Image` (LPS, millimetres, true spacing, physical units) and the
`Region`s drawn on it.  Start reading at `to_image`.
"""

from tapetum.standardise.greyrange import normalise
from tapetum.standardise.masks import to_regions
from tapetum.standardise.preview import preview
from tapetum.standardise.quality import quality
from tapetum.standardise.volume import METHOD, open_dataset, to_image

__all__ = ["METHOD", "normalise", "open_dataset", "preview", "quality", "to_image", "to_regions"]
