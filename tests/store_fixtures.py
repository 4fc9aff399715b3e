"""An S3-compatible server on loopback that notes what it is asked, and can be told to answer otherwise."""

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "a secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
Answer = Callable[[dict[str, Any], Any], Iterable[bytes]]  # a WSGI application


class Silent(WSGIRequestHandler):
    """Writes no log."""

    def log(self, *_: object) -> None:
        """Do nothing."""


class StoreServer:
    """Moto's server, or another application; `asked` has what it was asked: method and path, as GET /bucket/a.jpg."""

    def __init__(self, application: Answer | None = None) -> None:
        self._application = application or DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Silent)
        self.at = f"http://127.0.0.1:{self._server.port}"
        self.asked: list[str] = []
        self.before: dict[str, Callable[[], object]] = {}  # what is done before it answers
        self.instead: dict[str, Answer] = {}  # who answers instead
        self.numbers = count()
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        asked = f"{environ['REQUEST_METHOD']} {unquote(environ['RAW_URI'].partition('?')[0])}"
        self.asked.append(asked)
        if asked in self.before:
            self.before.pop(asked)()
        return self.instead.get(asked, self._application)(environ, start_response)

    @cached_property
    def client(self) -> Any:
        """Return what writes to moto's server."""
        return boto3.client("s3", endpoint_url=self.at)

    def stop(self) -> None:
        """Be gone."""
        self._server.shutdown()
        self._server.server_close()


class Google:
    """As much of Google's interface as reading takes: lists, what is told of an object, a range of its bytes."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        path, _, query = environ["RAW_URI"].partition("?")
        head, _, name = path.partition("/o/")
        name, asked = unquote(name), parse_qs(query)
        if head.endswith("/o"):
            found = [key for key in sorted(self.objects) if key.startswith(asked.get("prefix", [""])[0])]
            body = json.dumps({"items": [self.told(key) for key in found]}).encode()
        elif name not in self.objects:
            start_response("404 Not Found", [])
            return [b""]
        elif "alt" in asked:
            first, _, last = environ.get("HTTP_RANGE", "bytes=0-").removeprefix("bytes=").partition("-")
            body = self.objects[name][int(first) : int(last or -2) + 1]
        else:
            body = json.dumps(self.told(name)).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def told(self, name: str) -> dict[str, Any]:
        """Return what is told of an object."""
        data = self.objects[name]
        digest = base64.b64encode(hashlib.md5(data).digest()).decode()
        told = {"name": name, "bucket": "b", "size": str(len(data)), "md5Hash": digest}
        return told | {"updated": "2026-01-02T03:04:05.678Z", "etag": f"{id(data)}", "generation": "1"}


def denied(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer that this is not allowed."""
    start_response("403 Forbidden", [("Content-Type", "application/xml")])
    said = b"<Error><Code>AccessDenied</Code><Message>secret reasons</Message></Error>"
    return [said if environ["REQUEST_METHOD"] != "HEAD" else b""]


def broken(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Announce more than comes."""
    start_response("206 Partial Content", [("Content-Length", "5000"), ("Content-Range", "bytes 0-4999/5000")])
    return [b"x" * 10]


class Bucket:
    """A bucket of its own on the server."""

    def __init__(self, server: StoreServer, name: str | None = None) -> None:
        self.server, self.client = server, server.client
        self.name = name or f"bucket-{next(server.numbers)}"
        self.address = f"s3://{self.name}"
        self.client.create_bucket(Bucket=self.name)

    def put(self, key: str, data: bytes) -> str:
        """Write an object; return its etag."""
        return str(self.client.put_object(Bucket=self.name, Key=key, Body=data)["ETag"]).strip('"')

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def upload(self, folder: Path, prefix: str = "") -> None:
        """Write all files below a folder as objects of the same names."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(prefix + file.relative_to(folder).as_posix(), file.read_bytes())

    @contextmanager
    def reads(self) -> Iterator[list[str]]:
        """Give the keys that are read, once the block has ended."""
        found: list[str] = []
        start, begin = len(self.server.asked), f"GET /{self.name}/"
        yield found
        found += [asked.removeprefix(begin) for asked in self.server.asked[start:] if asked.startswith(begin)]
        found[:] = [key for key in found if key]
