"""Fundus: a colour photograph of the retina becomes numbers that carry diabetic retinopathy.

In: an `Image` (``yxc`` uint8 RGB).  Out: `Feature`s named ``fundus_...``.  Field, anatomy (vessels, disc, fovea), red
lesions, bright lesions and texture each have their module; nothing here is fitted to data.  Start at `describe`.
"""

from tapetum.describe.fundus.photograph import describe

__all__ = ["describe"]
