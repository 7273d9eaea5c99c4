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
JSON = {"Content-Type": "application/json"}


@dataclass
class LocalHub:
    """Repositories of models or data sets by id: folders, or the code of a refusal."""

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
        api = path.startswith("/api/")
        path = path.removeprefix("/api").removeprefix("/models").removeprefix("/datasets")
        organisation, name, *rest = [*path.strip("/").split("/"), "", ""][:5]
        id, revision = f"{organisation}/{name}", rest[1] if len(rest) > 1 else ""
        if id in self.status:
            return self.status[id], {}, b"{}"
        folder = {**self.folders, **self.gated_files}.get(id)
        code = self.refused.get(id, "" if folder else "RepoNotFound")
        if folder and revision not in (*self.revisions, self.commit, ""):
            code = "RevisionNotFound"
        if id in self.gated_files and not api:
            code = "GatedRepo"
        if code or not folder:
            return ERRORS[code], {"X-Error-Code": code, "X-Error-Message": "refused"}, b"{}"
        listed = [
            {"type": "file", "path": f.name, "size": f.stat().st_size, "oid": etag(f)}
            for f in sorted(folder.iterdir())
        ]
        if api and rest[0] in ("revision", ""):
            names = [{"rfilename": entry["path"]} for entry in listed]
            body = {"id": id, "sha": self.commit, "siblings": names, "private": False}
            return 200, JSON, json.dumps(body | {"tags": [], "likes": 0, "downloads": 0}).encode()
        if api:
            return 200, JSON, json.dumps(listed).encode()
        file = folder / path.rpartition("/")[2]
        headers = {"X-Repo-Commit": self.commit}
        if not file.is_file():
            return 404, {**headers, "X-Error-Code": "EntryNotFound"}, b"{}"
        return 200, {**headers, "ETag": f'"{etag(file)}"'}, file.read_bytes()


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
