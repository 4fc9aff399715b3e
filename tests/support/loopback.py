"""A web server on the loopback interface that behaves as a test defines."""

import http.server
from collections.abc import Callable

Handle = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path with the test's function for it, and records the requests."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.server.asked.append((self.path, self.headers.get("Range", "")))
        self.server.pages[path](self) if path in self.server.pages else self.answer(404, b"nothing here")
        self.close_connection = True

    def answer(self, status: int, body: bytes, announced: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Type": "application/zip", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if announced is None else announced))
        self.send_header("Connection", "close")  # said, so that nobody asks again on it
        self.end_headers()
        self.wfile.write(body)

    def serve(self, data: bytes, drop_after: int | None = None, **headers: str) -> None:
        """Answer with data, honouring Range and If-Range as in RFC 9110; hang up after `drop_after` bytes."""
        same = self.headers.get("If-Range") in (None, headers.get("ETag"), headers.get("Last_Modified"))
        start = int(self.headers["Range"][6:-1]) if same and "Range" in self.headers else 0
        if start >= len(data):
            self.answer(416, b"", Content_Range=f"bytes */{len(data)}")
            return
        if start:
            headers["Content_Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        body = data[start:]
        self.answer(206 if start else 200, body[:drop_after], announced=len(body), **headers)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server on the loopback interface whose pages the test defines."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Handle] = {}
        self.asked: list[tuple[str, str]] = []
        self.at = f"http://127.0.0.1:{self.server_port}"
