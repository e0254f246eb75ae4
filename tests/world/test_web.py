"""bat_os.world.web: pages of a granted host, whatever hosts try."""

import datetime as dt
import json
import threading
import time

import pytest

from bat_os.errors import ArgumentsError, BatError, NotFoundError, NotGrantedError, WorldError
from bat_os.ports import AWAIT, READ
from bat_os.world import web
from bat_os.world.transfer import may_reach
from bat_os.world.web import Web, read_url
from tests.world import hosts
from tests.world.hosts import PAGE, Host, reply, says, sends_to

ROUND = {f"/round{number}": sends_to(f"/round{number + 1}") for number in range(10_000)}


@pytest.fixture
def host():
    pages = {
        "/": PAGE, "/sub/queens.html": "<p>Queens are large.</p>",
        "/docs/a.html": "<title>A</title>first", "/docs2/b.html": "second",
        "/v.json": hosts.answers_json({"version": "1.2", "many": [1, 2.5, None, True]}),
        "/plain": says("just text", kind="text/plain"),
        "/picture": says(b"\x89PNG", kind="image/png"),
        "/packed": hosts.packed("packed text"),
        "/moved": sends_to("/docs/a.html"), "/up": sends_to("../v.json"),
    }  # fmt: skip
    with Host(pages) as host:
        yield host


@pytest.fixture
def driver():
    return Web(pause=0)


@pytest.fixture
def ask(host, driver):
    """Return a function that asks the driver about all of the host."""
    return asking(driver, host.url)


def asking(driver, url):
    scope = driver.scope(url)
    return lambda operation, *args, **how: driver.perform(scope, operation, args, **how)


def test_a_page_answers_its_main_text_its_links_and_where_it_is_from(ask, host):
    text = ask("fetch")
    assert text.startswith("# Ants\n\n# About ants\n\nAnts live in colonies.")
    assert "Navigation" not in text
    assert "Imprint" not in text
    assert "alert" not in text
    assert ask("links") == [
        {"url": f"{host.url}/nav", "text": "Navigation"},
        {"url": f"{host.url}/sub/queens.html", "text": "Queens"},
        {"url": "https://other.example/x", "text": "Elsewhere"},
    ]
    told = ask("facts")
    assert (told["url"], told["title"], told["kind"]) == (f"{host.url}/", "Ants", "text/html")
    assert dt.timedelta() <= dt.datetime.now(dt.UTC) - told["read"] < dt.timedelta(hours=1)
    assert ask("fetch", "sub/queens.html") == "Queens are large."
    assert ask("fetch", f"{host.url}/plain") == "just text"
    assert ask("fetch", "packed") == "packed text"


def test_json_is_plain_data(ask, host):
    assert ask("json", "v.json") == {"version": "1.2", "many": [1, 2.5, None, True]}
    with pytest.raises(ArgumentsError, match="not JSON"):
        ask("json", "plain")
    host.pages |= {"/deep": "[" * 100_000, "/nan": "NaN", "/long": '"' + "x" * (1 << 20) + '"'}
    for path in ("deep", "nan", "long"):
        with pytest.raises(ArgumentsError):
            ask("json", path)


def test_what_is_not_there_or_not_text_says_so(ask, host):
    with pytest.raises(NotFoundError):
        ask("fetch", "none")
    with pytest.raises(ArgumentsError, match="image/png"):
        ask("fetch", "picture")
    host.pages |= {
        "/secret": says("", status=401), "/broken": says("", status=500),
        "/long": says("x" * (web.MAX_ANSWER + 1), kind="text/plain"),
    }  # fmt: skip
    for path, error in (
        ("secret", NotGrantedError),
        ("broken", WorldError),
        ("long", ArgumentsError),
    ):
        with pytest.raises(error):
            ask("fetch", path)


@pytest.mark.parametrize(
    "outside",
    [
        "/docs2/b.html", "/", "/docs/../v.json", "/docs/%2e%2e/v.json", "../v.json",
        "/docs/%2E%2E%2Fv.json", "/docs/..%5cv.json", "/docs/%252e%252e/v.json", "/docsx",
        "//evil.example/docs/", "http://evil.example/docs/a.html", "https://127.0.0.1/docs/a.html",
        "http://127.0.0.1:1/docs/a.html", "http://127.0.0.1@evil.example/docs/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/docs/a.html", "javascript:1", "/docs/a b", "/docs/a\r\nHost: x",
        "/docs\\a", "http://[::1", "http://127.0.0.1:99999/docs/a", "a" * 3000, "/docs/a\0",
        "data:x",
    ],
)  # fmt: skip
def test_no_url_leads_out_of_a_grant(host, driver, outside):
    ask = asking(driver, f"{host.url}/docs/")
    assert ask("fetch", "a.html") == "# A\n\nfirst"
    before = host.read()
    with pytest.raises((NotGrantedError, ArgumentsError)):
        ask("fetch", outside)
    with pytest.raises((NotGrantedError, ArgumentsError)):
        ask("post", outside, "x")
    assert host.read() == before, "nothing is asked outside of it"


def test_a_redirect_is_followed_within_the_grant_alone(ask, host, driver):
    assert ask("fetch", "moved") == "# A\n\nfirst"
    assert ask("facts", "moved")["url"] == f"{host.url}/docs/a.html"
    with Host({"/": "elsewhere"}) as other:
        host.pages |= {
            "/away": sends_to(f"{other.url}/"),
            "/scheme": sends_to("file:///etc/passwd"),
        }
        with pytest.raises(NotGrantedError) as caught:
            ask("fetch", "away")
        assert caught.value.details["what"] == [f"{other.url}/"], "what could be granted"
        assert other.asked == []
    with pytest.raises(BatError):
        ask("fetch", "scheme")
    host.pages["/docs/up"] = sends_to("../v.json")
    with pytest.raises(NotGrantedError):
        asking(driver, f"{host.url}/docs")("fetch", "up")
    host.pages["/strange"] = sends_to("http://[::1")
    with pytest.raises(WorldError):
        ask("fetch", "strange")


def test_ten_thousand_redirects_are_too_many(ask, host):
    host.pages |= ROUND
    with pytest.raises(WorldError, match="redirects"):
        ask("fetch", "round0")
    assert len(host.read()) == web.MAX_REDIRECTS + 1


HOSTILE = {
    "endless": lambda host: hosts.endless,
    "dripping": hosts.dripping,
    "dripping headers": hosts.dripping_headers,
    "silent": hosts.silent,
    "huge headers": lambda host: hosts.huge_headers,
    "bomb": lambda host: hosts.bomb,
    "no HTTP": lambda host: lambda to: to.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "half an answer": lambda host: lambda to: to.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "a shorter body": lambda host: lambda to: reply(to, "x", Content_Length="99"),
    "strange packing": lambda host: says("x", Content_Encoding="br"),
    "not packed": lambda host: says("not gzip", Content_Encoding="gzip"),
    "status": lambda host: lambda to: to.wfile.write(b"HTTP/1.1 9999 OK\r\n\r\n"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_ends_in_an_error_with_a_code(host, name):
    host.pages["/"] = HOSTILE[name](host)
    with pytest.raises((WorldError, ArgumentsError)):
        asking(Web(pause=0, seconds=2), host.url)("fetch")


def test_a_page_may_be_in_any_charset_and_lie_about_it(ask, host):
    text = "Käse für Ærø"
    host.pages |= {
        "/latin": says(text.encode("latin-1"), kind="text/plain; charset=ISO-8859-1"),
        "/meta": says(f'<meta charset="windows-1252">{text}'.encode("cp1252"), kind="text/html"),
        "/mark": says(text.encode("utf-16"), kind="text/plain; charset=utf-8"),
        "/lies": says(text.encode("latin-1"), kind="text/plain; charset=utf-8"),
        "/codec": says(b"-" * 100_000, kind="text/plain; charset=punycode"),
        "/unknown": says(text, kind="text/plain; charset=x-klingon"),
    }
    for path in ("latin", "meta", "mark", "unknown"):
        assert ask("fetch", path) == text, path
    assert ask("fetch", "lies") == "K\ufffdse f\ufffdr \ufffdr\ufffd"
    assert ask("fetch", "codec") == "-" * 100_000


def test_a_hostile_page_is_taken_apart_in_time_or_refused(host):
    host.pages["/"] = "<a" * 500_000
    with pytest.raises(ArgumentsError):
        asking(Web(pause=0, seconds=3), host.url)("fetch")
    host.pages["/many"] = "<div>" * 500_000
    with pytest.raises(ArgumentsError, match="500,000 tags"):
        asking(Web(pause=0), host.url)("fetch", "many")


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "0.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.0.8",
    "198.18.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
    "ff02::1", "fec0::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "::ffff:0:a00:1",
    "64:ff9b::10.0.0.1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1",
    "100::1", "3fff::1", "3fff:fff:ffff::1", "5f00::1", "2001:20::1", "2001:1::1", "2001:1ff::1",
    "2001:4:112::1", "2620:4f:8000::1", "100:0:0:1::1", "192.31.196.1", "192.52.193.1",
    "192.175.48.6", "192.88.99.2", "203.0.113.9", "198.51.100.9", "198.19.255.255",
    "64:ff9b::192.175.48.6", "nonsense",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_a_public_name_stands_for_no_private_address(address):
    asked = []

    def resolve(host, port):
        asked.append(host)
        return [address]

    ask = asking(Web(resolve=resolve), "http://rebound.example/")
    with pytest.raises(NotGrantedError):
        ask("fetch")
    with pytest.raises(NotGrantedError):
        ask("post", "", "x")
    assert set(asked) == {"rebound.example"}


def test_a_name_that_changes_its_address_gains_nothing(host):
    """The address that was checked is the one that is used: the name is looked up once for each."""
    answers = iter(["8.8.8.8", "127.0.0.1", "127.0.0.1"])
    ask = asking(
        Web(resolve=lambda *_: [next(answers)], seconds=2, pause=0),
        host.url.replace("127.0.0.1", "rebound.example"),
    )
    for _ in range(2):
        with pytest.raises(BatError):
            ask("fetch")
    assert host.asked == []


@pytest.mark.parametrize(
    ("host", "address", "may"),
    [
        ("127.0.0.1", "127.0.0.1", True), ("127.0.0.1", "127.0.0.2", False),
        ("::1", "::1", True), ("10.1.1.1", "10.1.1.1", True), ("224.0.0.1", "224.0.0.1", False),
        ("localhost", "127.0.0.1", True), ("localhost", "::1", True),
        ("localhost", "10.0.0.1", False),
        ("app.localhost", "127.0.0.1", True), ("localhost.example.org", "127.0.0.1", False),
        ("nas.local", "192.168.1.9", True), ("nas.local", "fd00::9", True),
        ("nas.local", "127.0.0.1", False), ("nas.local", "169.254.169.254", False),
        ("nas", "10.0.0.2", True), ("nas", "::ffff:10.0.0.2", False),
        ("127.1", "127.0.0.1", False), ("2130706433", "127.0.0.1", False),
        ("0x7f.1", "127.0.0.1", False), ("example.org", "93.184.216.34", True),
        ("example.org", "2606:2800:220:1::1", True), ("example.org", "64:ff9b::5db8:d822", True),
    ],
)  # fmt: skip
def test_a_private_host_is_reached_where_the_grant_names_it(host, address, may):
    assert may_reach(host, address) is may


def test_offline_it_says_so_at_once():
    def refuse(host, port):
        raise OSError("Name or service not known")

    with pytest.raises(WorldError, match="offline") as caught:
        asking(Web(resolve=refuse), "https://example.org")("fetch")
    assert caught.value.retryable


def test_a_resolver_that_hangs_does_not_hold_the_message():
    ended = threading.Event()
    try:
        with pytest.raises(WorldError):
            asking(Web(resolve=lambda *_: [str(ended.wait(60))], seconds=1), "https://example.org")(
                "fetch"
            )
    finally:
        ended.set()


def test_robots_are_heeded_and_asked_once(host, driver):
    host.pages["/robots.txt"] = says(
        "User-agent: *\nDisallow: /sub/\nUser-agent: Other\nDisallow: /\n", kind="text/plain"
    )
    ask = asking(driver, host.url)
    assert ask("fetch", "plain") == "just text"
    with pytest.raises(NotGrantedError, match="robots"):
        ask("fetch", "sub/queens.html")
    assert host.asked == ["GET /robots.txt", "GET /plain"]


def test_a_host_whose_rules_cannot_be_had_is_not_read(host, driver):
    host.pages["/robots.txt"] = says("", status=503)
    with pytest.raises(WorldError):
        asking(driver, host.url)("fetch")
    assert host.read() == []


def test_requests_to_one_host_pause(host):
    ask = asking(Web(pause=0.2), host.url)
    started = time.monotonic()
    ask("fetch", "plain")
    ask("fetch", "packed")
    assert time.monotonic() - started >= 0.4, "robots.txt and two pages"


def test_a_page_is_kept_for_a_while_with_its_time(host):
    kept, anew = (asking(Web(pause=0, cache_seconds=seconds), host.url) for seconds in (300, 0))
    assert kept("facts", "plain") == kept("facts", "plain")
    assert host.read() == ["GET /plain"]
    anew("fetch", "plain")
    anew("fetch", "plain")
    assert len(host.read()) == 3


def test_what_is_asked_names_bat_os_and_nothing_of_the_person(ask, host, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    host.pages["/plain"] = says("x", kind="text/plain", Set_Cookie="a=b")
    ask("fetch", "plain")
    ask("fetch", "packed")
    for headers in host.headers:
        assert headers["User-Agent"].startswith("BAT-OS/")
        assert set(headers) == {"Host", "Connection", "User-Agent", "Accept", "Accept-Encoding"}


def test_post_sends_what_it_is_given_and_its_key(ask, host):
    host.pages["/take"] = lambda to: reply(to, "taken", status=201)
    assert ask("post", "take", {"a": [1, None]}, key="k1") == {"status": 201, "text": "taken"}
    assert json.loads(host.bodies[-1]) == {"a": [1, None]}
    assert host.headers[-1]["Idempotency-Key"] == "k1"
    assert ask("post", "take", "text")["status"] == 201
    assert "Idempotency-Key" not in host.headers[-1]
    host.pages["/away"] = sends_to("http://other.example/")
    assert ask("post", "away", "x")["status"] == 302, "a redirect is not followed"
    for data in (b"bytes", float("nan"), "x" * (web.MAX_SENT + 1)):
        with pytest.raises(ArgumentsError):
            ask("post", "take", data)


def test_reading_is_what_a_grant_is_for_by_itself(driver):
    operations = driver.operations(driver.scope("https://example.org"))
    assert all(each.outward for each in operations.values()), "a URL is a message"
    assert {name for name, each in operations.items() if each.kind == READ} == {
        "fetch", "links", "json", "facts",
    }  # fmt: skip
    assert (operations["post"].kind, operations["post"].repeatable) == (AWAIT, False)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("https://Example.ORG", "https://example.org/"),
        ("http://example.org:80/a/./b/../c", "http://example.org/a/c"),
        ("https://example.org:8443/x?y=1#z", "https://example.org:8443/x?y=1"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
        ("http://example.org./x", "http://example.org/x"),
        ("http://example.org/a/%2e%2e/b", "http://example.org/b"),
    ],
)
def test_urls_are_read_as_a_browser_would(said, read):
    assert str(read_url(said)) == read


@pytest.mark.parametrize(
    "said",
    [
        "https://ann:secret@example.org/", "https://ann@example.org/", "https://", "https:///x",
        "http://exa mple.org", "http://example.org/\n", "http://example.org:0/", "http://ex%61.org/",
        "http://-x.org/", "http://[::1", "http://a..b/" + "c" * 3000, "https://example.org\\@evil.org",
        "http://[fe80::1%25eth0]/",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused(driver, said):
    with pytest.raises(ArgumentsError):
        driver.scope(said)


def test_http_reaches_the_same_host_over_https(driver):
    plain, secure = driver.scope("http://example.org/a"), driver.scope("https://example.org/a/b")
    assert driver.contains(plain, secure)
    assert not driver.contains(secure, plain)
    assert not driver.contains(driver.scope("http://example.org:8080"), secure)
