"""Checks calls through a proxy: `calls` to the service, or `deliveries` to a backend that dies while it processes a request.

Arguments: CHECK URL TOKEN BACKEND FOLDER. The folder has the logs of the service and of the proxy.
"""

import glob
import gzip
import http.client
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

BATCH_BYTES = 16 * 1024 * 1024
# A loopback address that is none of TRUSTED_PROXIES.
CALLER = "127.0.0.2"


class Proxy:
    def __init__(self, url: str, token: str) -> None:
        self.address = urllib.parse.urlsplit(url)
        self.token = token
        # The certificate is signed by itself.
        self.tls = ssl.create_default_context()
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "localhost", self.address.port, timeout=60, context=self.tls, source_address=(CALLER, 0)
        )

    def send(self, connection, method: str, path: str, body=None, headers=None):
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response, response.read()

    def call(self, method: str, path: str, body=None, headers=None, status: int = 200):
        """Sends a request on a new connection, and returns the response and its body."""
        connection = self.connect()
        try:
            response, content = self.send(connection, method, path, body, headers)
        finally:
            connection.close()
        assert response.status == status, f"{method} {path[:80]}: {response.status} {content[:300]!r}"
        return response, content


def wait_until_ready(proxy: Proxy) -> None:
    for _ in range(100):
        try:
            return proxy.call("GET", "/readyz")
        except (OSError, AssertionError):
            time.sleep(0.1)
    proxy.call("GET", "/readyz")


def check_values_in_paths(proxy: Proxy) -> None:
    for value in ["a/b", "a//b", "..", "a/../b", "ü ö", "50%", "a+b", "x;y", "~'(,)"]:
        path = f"/contacts/{urllib.parse.quote(value, safe='')}?id_property=external_id"
        response, content = proxy.call("PUT", path, {"fields": {"first_name": "Ada"}}, status=201)
        assert json.loads(content)["external_id"] == value, (value, content)
        response, content = proxy.call("PATCH", path, {"fields": {"first_name": "Eve"}})
        assert json.loads(content)["external_id"] == value, (value, content)
        proxy.call("POST", f"/contacts/{json.loads(content)['id']}/purge", status=204)


def check_sizes(proxy: Proxy) -> None:
    inputs = [{"fields": {"first_name": f"Batch {number}"}} for number in range(1000)]
    body = json.dumps({"inputs": inputs}).encode()
    _, content = proxy.call("POST", "/contacts/batch/create", body.ljust(BATCH_BYTES))
    assert len(json.loads(content)["results"]) == 1000
    # Either of them may say that the body is too large.
    proxy.call("POST", "/contacts/batch/create", body.ljust(BATCH_BYTES + 1), status=413)
    _, content = proxy.call("GET", "/contacts?email=" + "x" * 65_000, headers={"X-Padding": "x" * 8_000})
    assert json.loads(content)["data"] == []
    # The header `Link` repeats the query.
    names = ",".join(["phone"] * 10_000)
    response, _ = proxy.call("GET", f"/contacts?limit=1&properties={names}")
    assert len(response.getheader("Link")) > 59_000


def check_long_polls(proxy: Proxy) -> None:
    started = time.monotonic()
    results = []

    def poll() -> None:
        results.append((proxy.call("GET", "/contacts/changes?after=now&wait=30"), time.monotonic() - started))

    waiting = threading.Thread(target=poll)
    waiting.start()
    time.sleep(2)
    proxy.call("POST", "/contacts", {"fields": {"first_name": "Polled"}}, status=201)
    waiting.join()
    (_, content), seconds = results.pop()
    assert len(json.loads(content)["data"]) == 1 and seconds < 10, (seconds, content)
    # None of its timeouts ends a poll of the longest time.
    started = time.monotonic()
    poll()
    (_, content), seconds = results.pop()
    assert json.loads(content)["data"] == [] and seconds > 29, (seconds, content)


def check_headers(proxy: Proxy) -> None:
    plain, body = proxy.call("GET", "/fields")
    assert plain.getheader("X-Request-Id") and plain.getheader("Content-Encoding") is None
    coded, content = proxy.call("GET", "/fields", headers={"Accept-Encoding": "gzip"})
    assert coded.getheader("Content-Encoding") == "gzip" and gzip.decompress(content) == body
    page, _ = proxy.call("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"})
    tag = page.getheader("ETag")
    proxy.call("GET", "/openapi.json", headers={"Accept-Encoding": "gzip", "If-None-Match": tag}, status=304)
    named, _ = proxy.call("GET", "/fields", headers={"X-Request-Id": "from-the-caller"})
    assert named.headers.get_all("X-Request-Id") == ["from-the-caller"], named.headers
    export, content = proxy.call("GET", "/contacts/export?format=ndjson")
    assert export.getheader("Changes-Cursor") and len(content.splitlines()) > 1000
    for path in ["/metrics", "/%6detrics", "//metrics", "/metrics/"]:
        proxy.call("GET", path, status=404)


def check_peer(proxy: Proxy, folder: str) -> None:
    """A caller cannot choose its address, and the proxy names it."""
    request_id = f"peer-{proxy.address.port}"
    proxy.call("GET", "/fields", headers={"X-Request-Id": request_id, "X-Forwarded-For": "203.0.113.7"})
    for _ in range(50):
        with open(f"{folder}/dev.log") as lines:
            line = next((line for line in lines if request_id in line), None)
        if line:
            assert f'"peer":"{CALLER}"' in line, line
            return
        time.sleep(0.1)
    raise AssertionError("the service did not log the request")


def check_connections(proxy: Proxy) -> None:
    connection = proxy.connect()
    for number in range(200):
        response, content = proxy.send(connection, "POST", "/contacts", {"fields": {"first_name": f"Kept {number}"}})
        assert response.status == 201, content
    connection.close()


def curl(proxy: Proxy, method: str, path: str, *arguments: str) -> str:
    """Sends a request as an HTTP/2 client, if the proxy has HTTP/2. Returns the status."""
    url = f"https://localhost:{proxy.address.port}{path}"
    command = ["curl", "--silent", "--insecure", "--http2", "--max-time", "20", "--request", method, "--output", "/dev/null"]
    authorization = ["--header", f"Authorization: Bearer {proxy.token}", "--write-out", "%{http_code}"]
    return subprocess.run([*command, *authorization, *arguments, url], capture_output=True, text=True).stdout


class DyingBackend:
    """Answers probes. It closes the connection of any other request when it has read it, and counts it."""

    def __init__(self, address: str) -> None:
        host, port = address.split(":")
        self.listener = socket.create_server((host, int(port)), reuse_port=False)
        self.requests: list[str] = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                received = connection.recv(65536)
                if not received:
                    return
                head += received
            if b"/readyz" in head:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            else:
                self.requests.append(head.split(b" ", 1)[0].decode())
                time.sleep(0.2)


def check_deliveries(proxy: Proxy, backend: str, folder: str) -> None:
    """A write that may have been applied is not sent again, by the proxy or by an HTTP/2 client that it asks to."""
    dying = DyingBackend(backend)
    wait_until_ready(proxy)
    for method in ["POST", "PATCH"]:
        for send in [proxy_status, curl]:
            dying.requests.clear()
            status = send(proxy, method, "/contacts/secret-value?email=secret-value", "--data", "{}")
            assert status == "502" and dying.requests == [method], (method, send.__name__, status, dying.requests)
            # nginx takes a backend out for a second after it has failed.
            time.sleep(1.5)
    # Its log has no path and no query, not even of an error.
    for log in set(glob.glob(f"{folder}/*.log")) - {f"{folder}/dev.log"}:
        with open(log) as text:
            assert "secret-value" not in text.read(), f"{log} has the value of a request"


def proxy_status(proxy: Proxy, method: str, path: str, *_: str) -> str:
    connection = proxy.connect()
    response, _ = proxy.send(connection, method, path, {})
    connection.close()
    return str(response.status)


def main() -> None:
    check, url, token, backend, folder = sys.argv[1:]
    proxy = Proxy(url, token)
    if check == "deliveries":
        return check_deliveries(proxy, backend, folder)
    wait_until_ready(proxy)
    check_values_in_paths(proxy)
    check_sizes(proxy)
    check_headers(proxy)
    check_peer(proxy, folder)
    check_connections(proxy)
    assert curl(proxy, "GET", "/fields") == "200"
    check_long_polls(proxy)


main()
