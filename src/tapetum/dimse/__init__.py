"""DICOM over its own network protocol: an application entity that stores, finds and gives back. Start at `Server`."""

from tapetum.dimse.server import Server
from tapetum.dimse.session import Archive, Peer, Rules

__all__ = ["Archive", "Peer", "Rules", "Server"]
