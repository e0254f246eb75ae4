"""Who may come in: each row is a hole that another server had."""

import asyncio
import contextlib
import html
import json
import random
import re
from dataclasses import replace

import pytest

from bat_os.client.tokens import TokenRing
from bat_os.core.settings import Settings
from bat_os.errors import SettingsError, StorageError
from bat_os.gateway import connection
from bat_os.gateway.guard import MAX_BODY, Rates
from bat_os.gateway.running import bind
from tests.gateway.conftest import JSON, read_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.nip.io:{port}", "0.0.0.0:{port}",
     "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "127.0.0.1:{port}.", ""],
)  # fmt: skip
async def test_a_request_for_another_name_is_refused_even_with_a_token(http, host):
    named = ("host", host.format(port=http.port))
    answer = await http.rude("GET", "/objects", headers=[named, *http.token().items()])
    assert (answer.status, answer.json["code"]) == (421, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1",
     "http://127.0.0.1:{port}.evil.example", ""],
)  # fmt: skip
async def test_a_page_of_another_origin_is_refused_even_with_a_token(http, origin):
    headers = {"origin": origin.format(port=http.port)}
    assert (await http.ask("GET", "/objects", headers=headers)).status == 403


async def test_without_a_token_nothing_is_answered(http):
    for method, path in (
        ("GET", "/objects"), ("POST", "/message"), ("GET", "/health"), ("GET", "/missions"),
        ("POST", "/verbs/list"), ("POST", "/mcp"), ("GET", "/v1/models"), ("GET", "/nothing"),
        ("GET", "/openapi.json"), ("DELETE", "/missions/1"), ("GET", "/events"),
    ):  # fmt: skip
        answer = await http.rude(method, path, {} if method == "POST" else None, [*JSON.items()])
        assert answer.status == 401, (path, answer)


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer ", "Bearer bat_wrong", "Basic YTpi", "bearer bat_", "Bearer \xff", "{bare}"],
)
async def test_a_wrong_token_lets_nobody_in(http, value):
    bare = http.token()["authorization"].removeprefix("Bearer ")
    headers = [("authorization", value.format(bare=bare))]
    assert (await http.rude("GET", "/objects", headers=headers)).status in (401, 429)


async def test_a_token_in_the_address_is_none(http):
    token = http.token()["authorization"].removeprefix("Bearer ")
    for name in ("token", "access_token", "api_key"):
        assert (await http.rude("GET", f"/objects?{name}={token}")).status == 401


async def test_a_token_is_revoked_at_once_and_ends_at_its_time(http, monkeypatch):
    token = http.ring.make("short", "read", 1)
    headers = [("authorization", f"Bearer {token}")]
    assert (await http.rude("GET", "/objects", headers=headers)).status == 200
    TokenRing(http.home).revoke("short")
    assert (await http.rude("GET", "/objects", headers=headers)).status == 401
    token = http.ring.make("short", "read", 1e-9)
    await asyncio.sleep(0.01)
    headers = [("authorization", f"Bearer {token}")]
    assert (await http.rude("GET", "/objects", headers=headers)).status == 401


async def test_only_digests_are_kept(http):
    token = http.ring.make("kept", "read", 1)
    path = http.home / "keys" / "tokens.json"
    assert token not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_many_wrong_tokens_are_refused_without_looking_and_a_right_one_still_passes(http):
    statuses = [
        (await http.rude("GET", "/objects", headers=[("authorization", f"Bearer bat_{n}")])).status
        for n in range(15)
    ]
    assert 429 in statuses
    assert (await http.ask("GET", "/objects")).status == 200


async def test_the_page_shows_a_cookie_and_a_secret_and_neither_proves_anything_alone(http):
    page = await http.enter()
    *rest, secret, cookie = page
    for path, method, body in (("/objects", "GET", None), ("/verbs/list", "POST", {})):
        assert (await http.rude(method, path, body, page)).status == 200
        for shown in ([cookie], [secret], [cookie, ("batos-page", "")],
                      [cookie, ("batos-page", cookie[1].partition("=")[2])],
                      [("cookie", f"batos-{http.port}={secret[1]}"), secret]):  # fmt: skip
            forged = [*rest, ("sec-fetch-site", "same-origin"), *shown]
            assert (await http.rude(method, path, body, forged)).status == 401, shown
        for extra in (
            [("sec-fetch-site", "cross-site")], [("sec-fetch-site", "same-site")],
            [("origin", "http://evil.example")],
        ):  # fmt: skip
            shown = [*JSON.items(), secret, cookie, *extra]
            assert (await http.rude(method, path, body, shown)).status == 403


async def test_a_second_page_closes_no_first_one_and_a_logout_closes_both(http):
    (*_, first, _), (*rest, second, cookie) = await http.enter(), await http.enter()
    for secret in (first, second):  # a browser has one cookie for all of its tabs: the newest
        assert (await http.rude("GET", "/objects", headers=[secret, cookie])).status == 200
    assert (await http.rude("POST", "/logout", {}, [*rest, second, cookie])).status == 200
    for secret in (first, second):
        assert (await http.rude("GET", "/objects", headers=[secret, cookie])).status == 401


async def test_the_login_leads_nowhere_else(http):
    for address in ("/login?next=https://evil.example", "//evil.example/login", "/login/"):
        code = {"code": http.ring.write_code(), "next": "https://evil.example"}
        answer = await http.rude("POST", address, code, [*JSON.items()])
        assert answer.status in (200, 401, 404), answer
        assert not {"location", "refresh"} & answer.headers.keys()


@pytest.mark.parametrize(
    "name", ["x-forwarded-for", "forwarded", "x-real-ip", "client-ip", "x-forwarded-host"]
)
async def test_no_address_is_trusted_whatever_a_header_says(http, name):
    value = "for=127.0.0.1" if name == "forwarded" else "127.0.0.1"
    answer = await http.rude("GET", "/objects", headers=[(name, value)])
    assert (answer.status, answer.json["code"]) == (401, "UNAUTHORIZED")


async def test_the_cookie_is_closed_to_scripts_and_other_sites_and_names_its_port(http):
    code = http.ring.write_code()
    answer = await http.rude("POST", "/login", {"code": code}, [*JSON.items()])
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"batos-{http.port}=")
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "location" not in answer.headers
    again = await http.rude("POST", "/login", {"code": code}, [*JSON.items()])
    assert again.status == 401


async def test_a_code_is_good_for_a_minute_and_for_nobody_who_guesses(http, monkeypatch):
    monkeypatch.setattr("bat_os.client.tokens.CODE_SECONDS", -1.0)
    code = http.ring.write_code()
    assert (await http.rude("POST", "/login", {"code": code}, [*JSON.items()])).status == 401
    for wrong in ("", "x", None, 7, ["a"]):
        answer = await http.rude("POST", "/login", {"code": wrong}, [*JSON.items()])
        assert answer.status == 401


async def test_the_file_that_leads_a_browser_in_is_the_owners_and_goes_with_the_code(http):
    code = http.ring.write_code()
    way = http.ring.write_way(f"http://{http.me}/#code={code}")
    assert way.stat().st_mode & 0o077 == 0
    page = re.search(r'content="0; url=([^"]+)"', way.read_text())[1]
    assert html.unescape(page) == f"http://{http.me}/#code={code}"
    assert (await http.rude("POST", "/login", {"code": code}, [*JSON.items()])).status == 200
    assert not way.exists()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "text/json"]
)
async def test_a_form_of_another_site_cannot_post(http, kind):
    answer = await http.rude(
        "POST", "/message", b"{}", [("content-type", kind), *http.token().items()]
    )
    assert answer.status == 415


async def test_a_preflight_gets_no_leave(http):
    headers = [("origin", "http://evil.example"), ("access-control-request-method", "POST")]
    answer = await http.rude("OPTIONS", "/message", headers=headers)
    assert answer.status == 403
    mine = [("origin", f"http://{http.me}"), ("access-control-request-method", "POST")]
    other = await http.rude("OPTIONS", "/message", headers=mine)
    assert other.status in (401, 405)
    assert not [name for name in {**answer.headers, **other.headers} if "access-control" in name]


@pytest.mark.parametrize(
    "name", ["host", "origin", "authorization", "content-length", "cookie", "batos-page"]
)
async def test_a_header_that_comes_twice_is_refused(http, name):
    value = {"host": http.me, "origin": f"http://{http.me}", "content-length": "2", "cookie": "a=b",
             "batos-page": "a", **http.token()}[name]  # fmt: skip
    headers = [(name, value), (name, value), *JSON.items()]
    answer = await http.rude("POST", "/message", b"{}", headers)
    assert answer.status == 400


async def test_a_body_is_counted_and_not_believed(http):
    too_long = [("content-length", str(MAX_BODY + 1)), *JSON.items(), *http.token().items()]
    assert (await http.rude("POST", "/message", b"{}", too_long)).status == 413
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    headers = [("transfer-encoding", "chunked"), *JSON.items(), *http.token().items()]
    answer = await http.rude("POST", "/message", chunk * 17 + b"0\r\n\r\n", headers)
    assert answer.status == 413


async def test_no_other_protocol_is_spoken(http):
    headers = [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-version", "13"),
               ("sec-websocket-key", "x" * 22 + "=="), *http.token().items()]  # fmt: skip
    assert (await http.rude("GET", "/objects", headers=headers)).status == 400


async def test_two_lengths_smuggle_nothing(http):
    head = f"POST /message HTTP/1.1\r\nhost: {http.me}\r\ncontent-type: application/json\r\n"
    token = f"authorization: {http.token()['authorization']}\r\n"
    hidden = f"GET /objects HTTP/1.1\r\nhost: {http.me}\r\n\r\n"
    both = f"{head}{token}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    assert (await http.bytes(both.encode())).status == 400


@pytest.mark.parametrize(
    "path",
    ["/page/..%2f..%2ftokens.json", "/page/../guard.py", "/page/x.js", "/page/..%2findex.html",
     "/page/%00", "/page/index.html%00.js"],
)  # fmt: skip
async def test_no_path_leads_out_of_the_page(http, path):
    assert (await http.rude("GET", path)).status in (400, 401, 404)


async def test_a_head_that_does_not_end_is_cut_off(http):
    begin = f"GET /healthz HTTP/1.1\r\nhost: {http.me}\r\n".encode()
    for head in (
        begin + b"x: " + b"y" * 70_000,
        begin + b"x: y\r\n" * 9_000,
        b"GET /" + b"a" * 70_000,
    ):
        answer = await http.bytes(head)
        assert answer.status in (400, 431)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_head_within_the_bound_may_come_in_parts(http):
    begin = f"GET /healthz HTTP/1.1\r\nhost: {http.me}\r\nx: {'y' * 10_000}\r\n".encode()
    body = b'{"args": ["' + b"y" * 20_000 + b'"]}'
    token = http.token()["authorization"]
    before = (
        f"POST /objects/genesis_obj/respondsTo HTTP/1.1\r\nhost: {http.me}\r\n"
        f"authorization: {token}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    ).encode() + body
    for parts, replies in (
        ([begin, b"z: 1\r\n", b"connection: close\r\n\r\n"], [200]),
        ([before + b"GET /heal", f"thz HTTP/1.1\r\nhost: {http.me}\r\n\r\n".encode()], [200, 200]),
        ([b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n"], [431]),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.05)  # so that it comes as a part
        async with asyncio.timeout(60):
            found = [(await read_answer(reader)).status for _ in replies]
        writer.close()
        await writer.wait_closed()
        assert found == replies, parts[0][:30]


async def test_a_head_has_to_come_in_time(http, monkeypatch):
    monkeypatch.setattr(connection, "HEAD_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
    writer.write(b"GET /healthz HTTP/1.1\r\n")
    async with asyncio.timeout(30):
        assert await reader.read() == b""
    writer.close()


async def test_a_body_has_to_come_in_time(http, monkeypatch):
    monkeypatch.setattr("bat_os.gateway.guard.BODY_SECONDS", 0.05)
    headers = [("content-length", "100"), *JSON.items(), *http.token().items()]
    assert (await http.rude("POST", "/message", b"{", headers)).status == 408


async def test_what_is_not_http_is_refused_and_the_next_one_served(http):
    draw = random.Random(3)  # noqa: S311 - no secret
    for _ in range(200):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            answer = await http.bytes(draw.randbytes(draw.randrange(1, 400)) + b"\r\n\r\n")
            assert answer.status in (400, 421)
    assert (await http.rude("GET", "/healthz")).status == 200


async def test_no_token_and_no_code_is_in_a_log(http, caplog):
    caplog.set_level(0)
    secret = http.token()["authorization"].removeprefix("Bearer ")
    page = await http.enter()
    for path in ("/objects", "/nothing", "/objects/nobody_obj", f"/objects?token={secret}"):
        await http.ask("GET", path)
        await http.rude("GET", path, headers=page)
    assert secret not in caplog.text
    assert page[-1][1].partition("=")[2] not in caplog.text
    assert page[-2][1] not in caplog.text


async def test_every_answer_has_the_policy(http):
    for answer in (
        await http.rude("GET", "/"), await http.ask("GET", "/objects"),
        await http.rude("GET", "/objects"), await http.ask("GET", "/nothing"),
    ):  # fmt: skip
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers


async def test_the_framework_answers_with_problems_too(http):
    for method, path, status in (
        ("GET", "/nothing", 404), ("PATCH", "/objects", 405), ("GET", "/message", 405),
        ("POST", "/verbs/nothing", 404),
    ):  # fmt: skip
        answer = await http.ask(method, path, {} if method == "POST" else None)
        assert answer.status == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["status"] == status


@pytest.mark.parametrize(
    "settings",
    [{"http_address": "198.51.100.1"}, {"http_cert": "a.pem"}, {"http_address": "::"},
     {"http_address": "192.0.2.1", "http_behind": "https://bats.example"}],
)  # fmt: skip
async def test_another_address_needs_tls_or_a_proxy_and_a_token(tmp_path, settings):
    wanted = Settings(home=str(tmp_path), http_port=0, **settings)
    with pytest.raises(SettingsError):
        bind(wanted, TokenRing(tmp_path))


async def test_a_token_alone_does_not_open_another_address(tmp_path):
    ring = TokenRing(tmp_path)
    ring.make("phone", "read", 1.0)
    wanted = Settings(home=str(tmp_path), http_port=0, http_address="198.51.100.1")
    with pytest.raises(SettingsError, match="http_behind"):
        bind(wanted, ring)
    with pytest.raises(StorageError, match="cannot be bound"):  # no machine has it, else it would
        bind(replace(wanted, http_behind="https://bats.example"), ring)


async def test_behind_a_proxy_its_name_is_ours_and_the_cookie_needs_tls(tmp_path):
    wanted = Settings(home=str(tmp_path), http_port=0, http_behind="https://bats.example")
    binding = bind(wanted, TokenRing(tmp_path))
    for each in binding.sockets:
        each.close()
    assert "bats.example" in binding.site.hosts
    assert binding.site.secure
    assert binding.site.cookie.startswith("__Host-")


async def test_a_caller_has_so_many_requests_a_second_and_others_their_own():
    rates = Rates(20.0, 100.0)
    assert [rates.take("a") for _ in range(100)] == [0.0] * 100
    assert rates.take("a") > 0
    assert rates.take("b") == 0.0


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [("read", [403, 403]), ("send", [403, 200]), ("learn", [403, 200]), ("teach", [200, 200])],
)
async def test_a_scope_is_held_at_each_route(http, scope, statuses):
    place, any_ = "/objects/genesis_obj/slots/colour", {"if-match": "*"}
    put = await http.ask("PUT", place, {"value": 1}, scope=scope, headers=any_)
    message = {"method_name": "getSlot", "args": ["about"]}
    sent = await http.ask("POST", "/message", message, scope=scope)
    assert [put.status, sent.status] == statuses
    assert (await http.ask("GET", "/objects", scope=scope)).status == 200


@pytest.mark.parametrize(
    "verb",
    ["shutdown", "backup", "archive", "fork", "fork.drop", "pack", "models.add", "models.remove",
     "subscribe"],
)  # fmt: skip
async def test_what_opens_a_path_or_ends_the_daemon_is_not_here_at_all(http, verb):
    page = await http.enter()
    assert (await http.ask("POST", f"/verbs/{verb}", {})).status == 404
    assert (await http.rude("POST", f"/verbs/{verb}", {}, page)).status == 404


@pytest.mark.parametrize(
    "verb",
    ["grant", "grant-mcp", "narrow", "allow", "effects.redo", "missions.leave", "forget", "erase"],
)
async def test_a_token_of_the_owner_gives_no_leave(http, verb):
    answer = await http.ask("POST", f"/verbs/{verb}", {"body": {"what": "/", "yes": True}})
    assert answer.status == 403
    assert f"batos {verb}" in answer.json["detail"]


async def test_healthz_says_only_that_it_lives(http):
    answer = await http.rude("GET", "/healthz")
    assert json.loads(answer.raw) == {"ok": True}
