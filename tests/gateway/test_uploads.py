"""Documents by HTTP, and a Unix socket for proxies."""

import asyncio
import stat

import httpx
import pytest

from bat_os.gateway import guard
from bat_os.gateway.uploads import cut
from tests.gateway.conftest import opened
from tests.kernels import ThinkingKernel

pytestmark = pytest.mark.asyncio(loop_scope="module")
BYTES = {"content-type": "application/octet-stream"}
NOTE = b"# Boiler\n\nThe boiler in the cellar was serviced in March.\n"


async def upload(http, name="boiler.md", data=NOTE, *, scope="teach", kind=BYTES):
    headers = [*kind.items(), *http.token(scope).items()]
    return await http.rude("POST", f"/uploads?name={name}", data, headers)


async def test_a_document_that_is_sent_is_found(http):
    answer = await upload(http)
    assert answer.status == 200, answer
    assert answer.json["passages"] == 1
    found = await http.ask("POST", "/verbs/search", {"body": {"text": "boiler in the cellar"}})
    assert "serviced in March" in str(found.json["passages"])
    again = await upload(http)
    assert (again.json["doc_id"], again.json["changed"]) == (answer.json["doc_id"], False)


async def test_a_document_larger_than_a_message_is_stored_in_parts(http):
    text = "".join(f"Line {n} of the log of the lighthouse: grüße.\n" for n in range(30_000))
    answer = await upload(http, "log.txt", text.encode())
    assert answer.status == 200, answer
    assert len(answer.json["doc_ids"]) == 3
    listed = (await http.ask("POST", "/verbs/documents", {})).json["documents"]
    titles = [one["title"] for one in listed if one["title"].startswith("log.txt")]
    assert titles == ["log.txt (1 of 3)", "log.txt (2 of 3)", "log.txt (3 of 3)"]
    assert not (await upload(http, "log.txt", text.encode())).json["changed"]


@pytest.mark.parametrize("most", range(2, 9))
async def test_a_text_is_cut_without_loss(most):
    text = "ab ü\n\nüüüü xyz € 12345678901\n"
    parts = cut(text, most + 2)
    assert "".join(parts) == text
    assert max(len(part.encode()) for part in parts) <= most + 2


async def test_two_callers_may_have_documents_of_one_name(http):
    first = await upload(http, data=b"mine\n")
    second = await upload(http, data=b"yours\n", scope="own")
    assert first.json["doc_id"] != second.json["doc_id"]


@pytest.mark.parametrize(
    ("name", "data", "more", "status"),
    [("a.md", NOTE, {"scope": "learn"}, 403), ("a.md", NOTE, {"kind": {}}, 415),
     ("..%2Fa.md", NOTE, {}, 422), ("", NOTE, {}, 422), ("a" * 201, NOTE, {}, 422),
     ("a.md", b"\0\1\2\3" * 100, {}, 422), ("a.pdf", b"no PDF", {}, 422),
     ("a.md", b"", {}, 422)],
)  # fmt: skip
async def test_what_is_no_document_is_refused(http, name, data, more, status):
    assert (await upload(http, name, data, **more)).status == status


async def test_a_document_is_counted_and_not_believed(http, monkeypatch):
    monkeypatch.setattr(guard, "MAX_UPLOAD", 2 << 20)
    assert (await upload(http, data=b"x " * (1 << 20) + b"y")).status == 413
    chunked = [*BYTES.items(), *http.token("teach").items(), ("transfer-encoding", "chunked")]
    body = b"%x\r\n" % (3 << 20) + b"x" * (3 << 20)
    assert (await http.rude("POST", "/uploads?name=a.md", body, chunked)).status == 413
    larger = await http.ask("POST", "/message", {"method_name": "x" * (1 << 20)})
    assert larger.status == 413, "other bodies are as bounded as before"


async def test_a_proxy_can_use_a_socket_that_others_cannot_open(tmp_path):
    async with (
        ThinkingKernel(tmp_path / "home") as kernel,
        opened(kernel, http_socket="run/http.sock") as http,
    ):
        path = kernel.home.path / "run" / "http.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        carrier = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=carrier, base_url="http://localhost") as client:
            assert (await client.get("/healthz")).json() == {"ok": True}
            assert (await client.get("/objects")).status_code == 401
            found = await client.get("/objects", headers=http.token("read"))
            assert found.status_code == 200
            strange = await client.get("/objects", headers={"host": "evil.example"})
            assert strange.status_code == 421
    assert not path.exists()
    await asyncio.sleep(0)
