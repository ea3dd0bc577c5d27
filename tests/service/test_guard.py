"""What the network may ask of the app, and what it hears: hosts, sites, paths, sizes, headers, health, logs, logins."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import Server

from mkpn.ui.launch import _host
from mkpn.ui.service import logs
from mkpn.ui.service.guard import Guard
from mkpn.ui.service.logins import VARIABLE, login_check
from mkpn.ui.service.options import ServiceOptions


class Inner:
    """The application behind the guard: repeats what it was asked, or fails."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        self.scopes.append(scope)
        if scope["path"] == "/config":
            raise RuntimeError("a secret at /home/someone")
        body = b""
        more = scope["method"] == "POST"
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = [(b"access-control-allow-origin", b"*"), (b"x-frame-options", b"ALLOWALL")]
        status = 422 if scope["path"] in ("/login", "/gradio_api/call/x") else 200
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": str(len(body)).encode()})


def ask(
    method: str,
    path: str,
    root: Path = Path("/nowhere"),
    content: Any = None,
    inner: Inner | None = None,
    **options: Any,
) -> httpx.Response:
    """Asks a guard with options.

    `headers` are the request's, `listening` is the server's address, `status` is what it says of its health.
    """
    headers, listening = options.pop("headers", {}), options.pop("listening", "0.0.0.0")
    health = {"status": options.pop("status", "ok")}
    guard = Guard(inner or Inner(), ServiceOptions(**options), root, lambda: health, listening)  # pyright: ignore

    async def call() -> httpx.Response:
        transport = httpx.ASGITransport(guard)  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport, base_url="http://app.example") as client:
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(call())


JOIN = "/gradio_api/queue/join"


def test_the_code_of_health_says_whether_there_is_a_model() -> None:
    found = [ask("GET", "/health", status=status) for status in ("ok", "no models")]
    assert [(answer.status_code, answer.json()["status"]) for answer in found] == [(200, "ok"), (503, "no models")]


def test_every_answer_forbids_sniffing_and_foreign_frames() -> None:
    for answer in (ask("GET", "/"), ask("GET", "/health"), ask("GET", "/nope"), ask("GET", "/config")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "SAMEORIGIN"
        assert "frame-ancestors 'self';" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
        assert len(answer.headers["x-request-id"]) == 32
    framed = ask("GET", "/", frames=("https://huggingface.co", "https://*.hf.space"))
    assert (
        "frame-ancestors 'self' https://huggingface.co https://*.hf.space;"
        in (framed.headers["content-security-policy"])
    )
    assert "x-frame-options" not in framed.headers


def test_what_gradio_words_for_programmers_is_a_sentence() -> None:
    login, other = ask("POST", "/login"), ask("POST", "/gradio_api/call/x")
    assert (login.status_code, login.json()) == (400, {"detail": "login: expected a name and a password"})
    assert other.status_code == 422
    assert other.json()["detail"].startswith("body: expected the JSON of a call")


def test_whether_the_page_is_there_is_told_without_making_it() -> None:
    inner = Inner()
    assert ask("HEAD", "/", inner=inner).status_code == 200
    assert inner.scopes == []
    # Gradio asks so when it starts, by an address that is none of the app's names.
    assert ask("HEAD", "/", hosts=("other.example",)).status_code == 200
    assert ask("GET", "/", hosts=("other.example",)).status_code == 421


@pytest.mark.parametrize(
    ("origin", "options", "status"),
    [
        ("http://app.example", {}, 200),
        ("https://app.example", {}, 200),
        ("http://evil.example", {}, 403),
        ("null", {}, 403),
        ("http://[", {}, 403),
        ("http://app.example.evil.example", {}, 403),
        ("http://evil.example", {"origins": ("http://lab.example",)}, 403),
        ("http://lab.example", {"origins": ("http://lab.example",)}, 200),
        ("https://studio.example", {"hosts": ("app.example", "studio.example")}, 200),
        ("https://studio.example", {"root_path": "https://studio.example/mkpn"}, 200),
        ("https://studio.example", {"root_path": "/mkpn"}, 403),
    ],
)
def test_other_sites_may_not_call(origin: str, options: dict[str, Any], status: int) -> None:
    answer = ask("POST", JOIN, content=b"{}", headers={"origin": origin}, **options)
    assert answer.status_code == status
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (origin if origin in options.get("origins", ()) else None)
    asked = ask("OPTIONS", JOIN, headers={"origin": origin}, **options)
    assert asked.status_code == (204 if allowed else 403)


def test_a_named_site_may_send_the_headers_of_gradio_s_own_client() -> None:
    lab = "http://lab.example"
    asks = {"origin": lab, "access-control-request-headers": "content-type,x-gradio-user"}
    for origins, allowed in (((lab,), "content-type,x-gradio-user"), ((), None)):
        answer = ask("OPTIONS", JOIN, headers=asks, origins=origins)
        assert answer.headers.get("access-control-allow-headers") == allowed


@pytest.mark.parametrize("given", ["::1", "[::1]"])
def test_an_address_of_ipv6_is_taken_with_and_without_brackets(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The machine may have no IPv6.
    monkeypatch.setattr("socket.socket.bind", lambda *_: None)
    assert _host(given) == "[::1]"


def test_hosts() -> None:
    inner = Inner()
    ask("GET", "/", inner=inner, headers={"x-forwarded-host": "evil.example", "x-gradio-server": "http://evil.example"})
    assert not [name for name, _ in inner.scopes[0]["headers"] if b"forwarded-host" in name or b"gradio" in name]
    assert ask("GET", "/", hosts=("app.example",)).status_code == 200
    assert ask("GET", "/", hosts=("other.example",)).status_code == 421
    for local, given, status in (
        ("127.0.0.1", {}, 421),
        ("0.0.0.0", {}, 200),
        ("localhost", {"hosts": ("app.example",)}, 200),
        ("localhost", {"root_path": "/mkpn"}, 200),
    ):
        assert ask("GET", "/", listening=local, **given).status_code == status
    for name in ("127.0.0.1:7860", "localhost", "[::1]:7860"):
        assert ask("GET", "/", listening="127.0.0.1", headers={"host": name}).status_code == 200
    for forwarded, status in (("evil.example", 421), ("studio.example", 200)):
        headers = {"x-forwarded-host": forwarded}
        assert ask("GET", "/", hosts=("app.example", "studio.example"), headers=headers).status_code == status
    assert ask("GET", "/health", hosts=("other.example",)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://example.com/",
        "/gradio_api/file=HTTPS://example.com/",
        "/gradio_api/proxy=https://x.hf.space/",
        "/gradio_api/dev/reload",
        "/gradio_api/vibe-code/",
        "/gradio_api/run-history/records",
        "/gradio_api/file=pictures/../../etc/passwd",
        "/gradio_api/file=pictures//etc/passwd",
        "/gradio_api/file=pictures/%2e%2e/%2e%2e/etc/passwd",
        "/monitoring",
        "/nope",
    ],
)
def test_what_the_app_does_not_need_is_not_there(path: str, tmp_path: Path) -> None:
    for method in ("GET", "POST", "DELETE", "TRACE"):
        answer = ask(method, path, tmp_path)
        assert answer.status_code == 404
        assert answer.json()["detail"].startswith("path: expected ")


def test_no_address_leads_out_of_the_folder_of_pictures(tmp_path: Path) -> None:
    root, secret = tmp_path / "pictures", tmp_path / "secret.png"
    root.mkdir()
    secret.touch()
    (root / "link.png").symlink_to(secret)
    for name in ("../secret.png", "%2e%2e/secret.png", "run/../../secret.png", "link.png", str(secret)):
        inner = Inner()
        answer = ask("GET", f"/gradio_api/file=pictures/{name}", root, inner=inner)
        assert answer.status_code == 404, name
        assert answer.json()["detail"].startswith("path: expected ")


@pytest.mark.parametrize("name", ["a%00b.png", "a" * 300 + ".png", "a" * 5000 + ".png"])
def test_a_picture_of_a_name_that_no_file_can_have_is_not_there(tmp_path: Path, name: str) -> None:
    answer = ask("GET", f"/gradio_api/file=pictures/{name}", tmp_path)
    assert (answer.status_code, answer.json()["detail"]) == (404, "path: expected a picture that is still kept")


def test_a_picture_s_address_leaves_the_folder_out(tmp_path: Path) -> None:
    from mkpn.ui.run.pictures import PictureFolder, make_root, picture_url

    root = make_root()
    folder = PictureFolder(root)
    (folder.path / "noisy.png").touch()
    address = picture_url(folder.path / "noisy.png")
    assert address == f"gradio_api/file=pictures/{folder.path.name}/noisy.png"
    inner = Inner()
    assert ask("GET", f"/{address}", root, inner=inner).status_code == 200
    assert inner.scopes[0]["path"] == f"/gradio_api/file={folder.path}/noisy.png"
    (folder.path / "noisy.png").unlink()
    assert ask("GET", f"/{address}", root).status_code == 404
    assert picture_url(tmp_path / "x.png") == f"gradio_api/file={tmp_path}/x.png"
    folder.remove()


def test_a_request_has_a_size() -> None:
    async def endless() -> Any:
        for _ in range(1000):
            yield b"x" * 2**16

    for path, limit in ((JOIN, 4), ("/gradio_api/upload", 9)):
        inner = Inner()
        announced = ask("POST", path, content=b"x" * (limit * 2**20 + 1), inner=inner, max_upload_mb=1)
        assert announced.status_code == 413
        assert f"at most {limit} MB" in announced.json()["detail"]
        assert inner.scopes == []
        unannounced = ask("POST", path, content=endless(), max_upload_mb=1)
        assert unannounced.status_code == 413
        assert ask("POST", path, content=b"x" * limit * 2**20, max_upload_mb=1).text == str(limit * 2**20)


def test_a_failure_is_a_sentence_with_the_id_that_the_log_has(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A handler of its own: whether the logger propagates depends on whether an app has run in this process, and one
    # that still runs writes into the same logger.
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonLines())
    monkeypatch.setattr(logs.LOGGER, "handlers", [handler])
    caplog.set_level(logging.INFO, logs.LOGGER.name)
    answer = ask("GET", "/config", headers={"x-request-id": "visit-7"})
    assert answer.status_code == 500
    assert answer.json() == {"detail": "The server failed; its log has request visit-7."}
    assert "secret" not in answer.text
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    failed, request = (line for line in lines if line.get("request_id") == "visit-7")
    assert failed["message"] == "request failed"
    assert "a secret at /home/someone" in failed["traceback"]
    assert (request["message"], request["path"], request["status"]) == ("request", "/config", 500)
    # Nobody writes a line of his own into the log.
    forged = ask("GET", "/", headers={"x-request-id": 'x"}{"level": "error"'})
    assert len(forged.headers["x-request-id"]) == 32


def test_whatever_is_told_in_a_json_log_is_json() -> None:
    code = """
import logging, warnings
from mkpn.ui.run import models
from mkpn.ui.service import logs
logs.configure("json")
warnings.warn("odd")
try:
    1 / 0
except ZeroDivisionError:
    models.LOGGER.exception("preload")
logging.getLogger("asyncio").error("Task exception was never retrieved")
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    loggers = [json.loads(line)["logger"] for line in told.splitlines()]
    assert loggers == ["py.warnings", "mkpn.service", "asyncio"]


def test_a_line_of_the_log_is_json_of_one_line() -> None:
    record = logging.LogRecord("mkpn.service", logging.INFO, "", 1, "a\nb %s", ("ü",), None)
    record.fields = {"status": 200, "path": Path("/x")}
    token = logs.request_id.set("7")
    line = logs.JsonLines().format(record)
    logs.request_id.reset(token)
    assert "\n" not in line
    # A pipe of another encoding would write a letter beyond ASCII as an escape that JSON does not know.
    assert line.isascii()
    fields = json.loads(line)
    assert fields.pop("time").endswith("+00:00")
    expected = {"level": "info", "logger": "mkpn.service", "message": "a\nb ü", "request_id": "7", "status": 200}
    assert fields == {**expected, "path": "/x"}


def test_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert login_check(None) is None
    file = tmp_path / "logins"
    file.write_text("# who may come in\n\nada:pass:word\n bob :x\n", encoding="utf-8")
    check = login_check(file)
    assert check is not None
    assert check("ada", "pass:word")
    assert check("bob", "x")
    # Windows' editors mark UTF-8 by three bytes at the beginning.
    file.write_text("\ufeffada:pass:word\nbob:x\n", encoding="utf-8")
    marked = login_check(file)
    assert marked is not None
    assert marked("ada", "pass:word")
    for user, password in (("ada", "pass"), ("eve", "x"), ("eve", ""), ("", ""), ("ada", ""), ("ädä", "ü")):
        assert not check(user, password)
    monkeypatch.setenv(VARIABLE, "eve:y")
    check = login_check(None)
    assert check is not None
    assert check("eve", "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one"),
        ("# x\n", "at least one"),
        ("ada\n", "line 1: expected NAME:PASSWORD"),
        ("ada:secret\n:x", "line 2"),
        ("ada:", "1"),
        (b"\xff\xfe", "UnicodeDecodeError"),
        (None, "FileNotFoundError"),
    ],
)
def test_a_file_without_logins_does_not_leave_the_app_open(tmp_path: Path, text: Any, message: str) -> None:
    file = tmp_path / "logins"
    if text is not None:
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=message) as refused:
        login_check(file)
    assert "secret" not in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [
        {"max_upload_mb": 0},
        {"max_upload_mb": 10**4},
        {"hosts": ("https://x.example",)},
        {"origins": ("*",)},
        {"origins": ("https://*.example",)},
        {"origins": ("lab.example",)},
        {"frames": ("https://x.example; script-src *",)},
        {"root_path": "ftp://mkpn"},
        {"root_path": "/x y"},
        {"log": "xml"},
        {"max_disk_mb": 64},
        {"max_disk_mb": 8 * 32 - 1, "max_upload_mb": 32},
    ],
)
def test_wrong_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: expected "):
        ServiceOptions(**options)
    assert not ServiceOptions().share


# The running app


def test_health(server: Server) -> None:
    answer = httpx.get(f"{server.address}/health")
    assert answer.status_code == 200
    health = answer.json()
    assert health["status"] == "ok"
    assert health["models"] == {"found": 10, "loaded": 10}
    assert set(health["queue"]) == {"running", "waiting", "limit"}


def test_the_page_shows_no_folder_of_the_server(server: Server) -> None:
    for path in ("/config", "/", "/gradio_api/info"):
        answer = httpx.get(server.address + path, headers={"x-forwarded-host": "evil.example"})
        assert answer.status_code == 200
        assert str(server.folder) not in answer.text
        assert "evil.example" not in answer.text
        assert answer.headers["x-content-type-options"] == "nosniff"
    # A thumbnail of an example comes by its short address.
    picture = httpx.get(f"{server.address}/gradio_api/file=pictures/thumbnail-0.png")
    assert picture.headers["content-type"] == "image/png"


def test_requests_are_logged_with_their_id(server: Server) -> None:
    httpx.get(f"{server.address}/nope?secret=1", headers={"x-request-id": "logged-1"})
    found = server.logged("logged-1")
    assert [(record["path"], record["status"]) for record in found] == [("/nope", 404)]


def test_uploads_have_a_limit(server: Server) -> None:
    answer = httpx.post(f"{server.address}/gradio_api/upload", files={"files": ("x.png", bytes(33 * 2**20))})
    assert answer.status_code == 413
    assert str(server.folder) not in answer.text
