"""The archive over HTTP: DICOMweb (PS3.18) on a workspace. Start at `application`; `serve` runs it.

Storing is in `stow`, searching in `search`, retrieving in `retrieve` and `render`; what a client accepts is judged in
`accept`, what it may cost in `limits`.
"""

from tapetum.web.app import application
from tapetum.web.server import serve

__all__ = ["application", "serve"]
