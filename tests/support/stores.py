"""An S3-compatible server on loopback that records its requests; a test can replace single responses."""

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
NUMBERS = count()  # of buckets: no two share a name, since moto keeps them for the whole process
Answer = Callable[[dict[str, Any], Any], Iterable[bytes]]  # a WSGI application


class Silent(WSGIRequestHandler):
    """A request handler that writes no log."""

    def log(self, *_: object) -> None:
        """Do nothing."""


class StoreServer:
    """Moto's server, or another application; `requests` lists method and path, for example GET /bucket/a.jpg."""

    def __init__(self, application: Answer | None = None) -> None:
        self._application = application or DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=Silent)
        self.at = f"http://127.0.0.1:{self._server.port}"
        self.requests: list[str] = []
        self.before: dict[str, Callable[[], object]] = {}  # called once before the response to a request
        self.instead: dict[str, Answer] = {}  # the application that answers a request instead
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        request = f"{environ['REQUEST_METHOD']} {unquote(environ['RAW_URI'].partition('?')[0])}"
        self.requests.append(request)
        if request in self.before:
            self.before.pop(request)()
        return self.instead.get(request, self._application)(environ, start_response)

    @cached_property
    def client(self) -> Any:
        """Return a client that writes to moto's server."""
        return boto3.client("s3", endpoint_url=self.at)

    def stop(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()


class Google:
    """The part of Google's API that reading needs: listings, metadata of an object, ranges of its bytes."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request."""
        path, _, query = environ["RAW_URI"].partition("?")
        head, _, name = path.partition("/o/")
        name, parameters = unquote(name), parse_qs(query)
        if head.endswith("/o"):
            keys = [key for key in sorted(self.objects) if key.startswith(parameters.get("prefix", [""])[0])]
            body = json.dumps({"items": [self.metadata(key) for key in keys]}).encode()
        elif name not in self.objects:
            start_response("404 Not Found", [])
            return [b""]
        elif "alt" in parameters:
            first, _, last = environ.get("HTTP_RANGE", "bytes=0-").removeprefix("bytes=").partition("-")
            body = self.objects[name][int(first) : int(last or -2) + 1]
        else:
            body = json.dumps(self.metadata(name)).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def metadata(self, name: str) -> dict[str, Any]:
        """Return the metadata of an object."""
        data = self.objects[name]
        digest = base64.b64encode(hashlib.md5(data).digest()).decode()
        names = {"name": name, "bucket": "b", "size": str(len(data)), "md5Hash": digest}
        return names | {"updated": "2026-01-02T03:04:05.678Z", "etag": f"{id(data)}", "generation": "1"}


def denied(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer that the request is not allowed."""
    start_response("403 Forbidden", [("Content-Type", "application/xml")])
    body = b"<Error><Code>AccessDenied</Code><Message>secret reasons</Message></Error>"
    return [body if environ["REQUEST_METHOD"] != "HEAD" else b""]


def broken(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Announce more bytes than the response contains."""
    start_response("206 Partial Content", [("Content-Length", "5000"), ("Content-Range", "bytes 0-4999/5000")])
    return [b"x" * 10]


class Bucket:
    """A new bucket on the server."""

    def __init__(self, server: StoreServer, name: str | None = None) -> None:
        self.server, self.client = server, server.client
        self.name = name or f"bucket-{next(NUMBERS)}"
        self.address = f"s3://{self.name}"
        self.client.create_bucket(Bucket=self.name)

    def put(self, key: str, data: bytes) -> str:
        """Write an object and return its etag."""
        return str(self.client.put_object(Bucket=self.name, Key=key, Body=data)["ETag"]).strip('"')

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def upload(self, folder: Path, prefix: str = "") -> None:
        """Write all files below a folder as objects with the same names."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(prefix + file.relative_to(folder).as_posix(), file.read_bytes())

    @contextmanager
    def reads(self) -> Iterator[list[str]]:
        """Yield a list that contains the keys that were read, once the block has ended."""
        keys: list[str] = []
        start, get = len(self.server.requests), f"GET /{self.name}/"
        yield keys
        read = [request.removeprefix(get) for request in self.server.requests[start:] if request.startswith(get)]
        keys += [key for key in read if key]
