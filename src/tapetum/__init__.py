"""tapetum: a hospital's imaging archive, used a second time."""

from __future__ import annotations

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("tapetum")
