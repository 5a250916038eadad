"""A line to an S3 server on which every n-th request fails, in turn in each of three ways. A process of its own.

    python bad_line.py PORT_OF_THE_SERVER

It prints its own port. ``PUT /-/every/7`` says how often it fails (0: never); ``GET /-/counts`` tells of how many
requests how many failed.
"""

from __future__ import annotations

import http.client
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("503", "lost request", "lost answer")
OURS = ("transfer-encoding", "connection", "content-length", "date", "server")


class Line(ThreadingHTTPServer):
    """Where it leads, and what went over it."""

    daemon_threads = True

    def __init__(self, behind: int) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.behind = behind
        self.every = self.requests = self.failures = 0
        self.counting = threading.Lock()

    def fault(self) -> str:
        """What is to become of the next request."""
        with self.counting:
            self.requests += 1
            if not self.every or self.requests % self.every:
                return ""
            self.failures += 1
            return FAULTS[self.failures % 3]

    def handle_error(self, *_: object) -> None:
        """A client that hung up is what is tested here."""


class Request(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Line

    def forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/-/"):
            return self.control()
        fault = self.server.fault()
        if fault == "503":
            return self.answer(503, [], b"")
        if fault == "lost request":
            return self.hang_up()
        behind = http.client.HTTPConnection("127.0.0.1", self.server.behind, timeout=30)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        content = answer.read()
        behind.close()
        if fault == "lost answer":
            return self.hang_up()
        length = answer.getheader("Content-Length") if self.command == "HEAD" else None
        return self.answer(answer.status, answer.getheaders(), content, length)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward  # noqa: N815 - names of http.server

    def control(self) -> None:
        if self.path.startswith("/-/every/"):
            self.server.every = int(self.path.rpartition("/")[2])
        self.answer(200, [], f"{self.server.requests} {self.server.failures}".encode())

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes, length: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in OURS:
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    line = Line(int(sys.argv[1]))
    sys.stdout.write(f"{line.server_port}\n")
    sys.stdout.flush()
    line.serve_forever()
