"""The report of a run as a page that follows it: rebuilt from the files of the run folder whenever they change."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from espalier.core.errors import EspalierError
from espalier.core.report.build import page
from espalier.core.report.content import content
from espalier.core.run.folder import is_locked

NEWS = "/content.json"
"""Where the page asks for news."""
HOST = "127.0.0.1"
OWN_NAMES = frozenset({"127.0.0.1", "localhost"})
"""Names under which the page may be asked for: a name of another site that leads here must not read it."""
_WATCHED = (
    "metrics.jsonl",
    "state.json",
    "report.json",
    "result.json",
    "warnings.jsonl",
    "config.yaml",
    "environment.json",
    "artefacts/rollouts.jsonl",
)


class Live:
    """What the page of the run folder `path` shows now, read again only where a file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._mark: object = None
        self._body = b""
        self._tag = ""

    def news(self) -> tuple[bytes, str]:
        """The content as JSON, and a tag that changes with it. Raises EspalierError where a file cannot be read."""
        with self._lock:
            mark = self._look()
            if mark != self._mark:
                shown = content(self._path)
                self._body = json.dumps(shown, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
                self._tag = f'"{hashlib.sha256(self._body).hexdigest()[:16]}"'
                self._mark = mark
            return self._body, self._tag

    def page(self) -> bytes:
        """The page, which then asks for news."""
        return page(content(self._path), poll=NEWS).encode()

    def _look(self) -> object:
        """Sizes and times of the files, and whether a process holds the run."""
        found = []
        for name in _WATCHED:
            try:
                stat = (self._path / name).stat()
                found.append((name, stat.st_size, stat.st_mtime_ns))
            except FileNotFoundError:
                found.append((name, -1, 0))
        return found, is_locked(self._path)


class _Handler(BaseHTTPRequestHandler):
    """Answers GET of the page and of its news."""

    live: Live
    server_version = "espalier"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """The page at /, its content at `NEWS`."""
        if urlsplit(f"//{self.headers.get('Host', '')}").hostname not in OWN_NAMES:
            self._answer(HTTPStatus.FORBIDDEN, b"this page answers to 127.0.0.1 and localhost only")
            return
        try:
            self._serve(urlsplit(self.path).path)
        except EspalierError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, str(error).encode())
        except OSError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{error.filename}: {error.strerror}".encode())

    def _serve(self, path: str) -> None:
        if path == "/":
            self._answer(HTTPStatus.OK, self.live.page(), "text/html; charset=utf-8")
        elif path == NEWS:
            body, tag = self.live.news()
            if self.headers.get("If-None-Match") == tag:
                self._answer(HTTPStatus.NOT_MODIFIED, b"", tag=tag)
            else:
                self._answer(HTTPStatus.OK, body, "application/json", tag)
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"there is the report at /, and nothing else")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", tag: str = "") -> None:
        self.send_response(status)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a request every other second is no news."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that has gone is no error."""


def serve(path: Path, taken: socket.socket) -> None:
    """Serve the page of the run folder `path` on the bound socket until interrupted."""
    handler = type("Handler", (_Handler,), {"live": Live(path)})
    with _Server((HOST, 0), handler, bind_and_activate=False) as server:
        server.socket.close()
        server.socket = taken
        server.server_activate()
        server.serve_forever(poll_interval=0.2)
