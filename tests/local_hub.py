"""A server on this machine that answers as the hub does, for what the hub's client does then."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

ERRORS = {"GatedRepo": 403, "RepoNotFound": 401, "RevisionNotFound": 404}
"""By the code in the header `X-Error-Code`, which tells the hub's refusals apart."""


@dataclass
class LocalHub:
    """Repositories by id: folders that can be had, or the code of a refusal."""

    folders: dict[str, Path] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    gated_files: dict[str, Path] = field(default_factory=dict)
    """Whose list of files is public, and no file is: what the hub does with gated ones."""
    status: dict[str, int] = field(default_factory=dict)
    revisions: tuple[str, ...] = ("main", "step1")
    commit: str = "a" * 40
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for the path of a request."""
        self.asked.append(path)
        path = path.partition("?")[0].replace("%2F", "/")
        api = path.startswith("/api/models/")
        if path.startswith("/api/") and not api:
            return 404, {}, b"{}"
        organisation, name, kind, *rest = path.removeprefix("/api/models").strip("/").split("/")
        id = f"{organisation}/{name}"
        if id in self.status:
            return self.status[id], {}, b"{}"
        code = self.refused.get(id, "" if id in self.folders | self.gated_files else "RepoNotFound")
        if not code and rest[0] not in (*self.revisions, self.commit):
            code = "RevisionNotFound"
        if not code and id in self.gated_files and not api:
            code = "GatedRepo"
        if code:
            return ERRORS[code], {"X-Error-Code": code, "X-Error-Message": "refused"}, b"{}"
        folder = (self.folders | self.gated_files)[id]
        if api and kind == "revision":
            body = {"id": id, "sha": self.commit, "siblings": []}
        elif api:
            body = [
                {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": etag(f)}
                for f in sorted(folder.iterdir())
            ]
        else:
            file = folder / rest[1]
            headers = {"ETag": f'"{etag(file)}"', "X-Repo-Commit": self.commit}
            return 200, headers, file.read_bytes()
        return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes(), usedforsecurity=False).hexdigest()


@contextmanager
def serving(hub: LocalHub) -> Iterator[LocalHub]:
    """Answer on a free port of this machine; `hub.url` says where."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield hub
        server.shutdown()
