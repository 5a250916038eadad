"""How the documents are built: `make docs`. The reference is written from the code by `_ext/generate.py`."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx_gallery.sorting import FileNameSortKey

import tapetum

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "tapetum"
author = "the tapetum contributors"
project_copyright = "the tapetum contributors, Apache-2.0"
version = release = tapetum.__version__
language = "en"
smartquotes_action = "qe"  # two hyphens begin an option of a command

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "docstrings",
    "generate",
]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "attrs_inline"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery_src", "sg_execution_times.rst", "gallery/sg_execution_times.rst"]
# `Geometry` in a docstring is a Python object where there is one, and plain code elsewhere.
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 88
viewcode_line_numbers = True

sphinx_gallery_conf = {
    "examples_dirs": ["gallery_src"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "within_subsection_order": FileNameSortKey,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "abort_on_example_error": True,
    "capture_repr": (),
    "image_scrapers": ("matplotlib",),
}
suppress_warnings = ["config.cache"]  # the gallery's sort key is a class, which no cache can hold

html_theme = "pydata_sphinx_theme"
html_title = "tapetum"
html_static_path = ["_static"]
html_css_files = ["tapetum.css"]
html_favicon = "_static/mark.svg"
html_sidebars = {"index": [], "get-started": [], "glossary": []}
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "tapetum", "image_light": "_static/mark.svg", "image_dark": "_static/mark.svg"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "pygments_light_style": "friendly",
    "pygments_dark_style": "monokai",
}
