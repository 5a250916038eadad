"""``tapetum serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tapetum import web
from tapetum.cli.talk import WorkspaceOption, open_workspace, stderr
from tapetum.cli.work import following

__all__ = ["serve"]


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    tls_certificate: Path | None = None,
    tls_key: Path | None = None,
    insecure: Annotated[bool, Parameter(negative="")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Serve the workspace over HTTP as DICOMweb.

    Parameters
    ----------
    host
        Address to listen on; beyond this machine only with TLS.
    port
        Port to listen on; 0 takes a free one.
    tls_certificate
        PEM file with the certificate, and those that vouch for it.
    tls_key
        PEM file with its key.
    insecure
        Listen beyond this machine without TLS: everybody on the way can read everything.
    """
    opened = open_workspace(workspace, web_host=host, web_port=port)
    with following(opened) as on_stored:
        web.serve(
            web.application(opened, on_stored=on_stored),
            host=opened.settings.web_host,
            port=opened.settings.web_port,
            certificate=tls_certificate,
            key=tls_key,
            insecure=insecure,
            on_ready=lambda address: stderr.print(f"{address}/dicom-web answers; Ctrl-C ends it"),
        )
