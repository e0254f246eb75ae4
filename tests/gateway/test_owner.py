"""What only the owner's page may ask for, by a real kernel and real commands."""

import asyncio
import time

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROFILE = 'profile = "scripted"\n'


async def do(http, headers, deed, body=None):
    return await http.rude("POST", f"/owner/{deed}", body or {}, headers)


@pytest.fixture
def page(http):
    """Return what asks as the owner's page does."""

    async def ask(deed, body=None):
        nonlocal headers
        headers = headers or await http.enter()
        return await do(http, headers, deed, body)

    headers = None
    return ask


async def test_no_token_asks_for_what_is_the_owners(http):
    for deed in ("tokens", "backups.make", "forks", "doctor"):
        answer = await http.ask("POST", f"/owner/{deed}", {}, scope="own")
        assert answer.status == 403, deed


async def test_a_token_is_shown_once_and_its_use_and_end_are_seen(http, page):
    made = (await page("tokens.make", {"name": "phone", "may": "read", "days": 30})).json
    bearer = [("authorization", f"Bearer {made['token']}")]
    rows = {row["name"]: row for row in (await page("tokens")).json["tokens"]}
    assert made["token"] not in str(rows)
    assert (rows["phone"]["may"], rows["phone"]["used"]) == ("read", 0)
    assert abs(rows["phone"]["until"] - time.time() - 30 * 86400) < 600
    assert (await http.rude("GET", "/objects", None, bearer)).status == 200
    rows = {row["name"]: row for row in (await page("tokens")).json["tokens"]}
    assert rows["phone"]["used"] > 0
    assert (await page("tokens.revoke", {"name": "phone"})).status == 200
    assert (await http.rude("GET", "/objects", None, bearer)).status == 401
    assert (await page("tokens.make", {"name": "x", "may": "person", "days": 1})).status == 422


async def test_a_backup_is_made_listed_and_found_to_be_damaged(http, page):
    made = (await page("backups.make")).json
    rows = (await page("backups")).json["backups"]
    assert [row["name"] for row in rows] == [made["name"]]
    assert rows[0]["bytes"] > 0
    whole = (await page("backups.verify", {"name": made["name"]})).json
    assert (whole["tid"], whole["damaged"]) == (made["tid"], [])
    part = next((http.home / "backups" / made["name"] / "parts").iterdir())
    part.write_bytes(b"x" + part.read_bytes()[1:])
    broken = await page("backups.verify", {"name": made["name"]})
    assert (broken.status, broken.json["code"]) == (503, "STORAGE_ERROR")
    assert part.name in broken.json["detail"]


async def test_a_fork_is_made_compared_and_dropped(http, page):
    made = {"target": "genesis_obj", "body": {"name": "shed_obj"}}
    before = (await http.ask("GET", "/moments")).json["moments"][0]["id"]
    assert (await http.ask("POST", "/verbs/derive", made)).status == 200
    assert (await page("forks.make", {"name": "trial", "at": before})).status == 200
    assert [one["name"] for one in (await page("forks")).json["forks"]] == ["trial"]
    told = (await page("forks.compare", {"name": "trial"})).json
    assert {"object": "shed_obj", "what": "gone"}.items() <= told["objects"][0].items()
    assert (await page("forks.drop", {"name": "trial"})).status == 200
    assert (await page("forks")).json["forks"] == []


async def test_a_fork_is_opened_by_a_daemon_of_its_own_and_stopped(http, page):
    await page("forks.make", {"name": "alive"})
    (http.home / "forks" / "alive" / "batos.toml").write_text(PROFILE)
    opened = await page("forks.open", {"name": "alive"})
    try:
        assert opened.status == 200, opened
        url, _, code = opened.json["page"].partition("/#code=")
        assert url != f"http://{http.me}"
        assert len(code) == 32
        assert (await page("forks")).json["forks"][0]["running"]
    finally:
        assert (await page("forks.stop", {"name": "alive"})).status == 200
    assert not (await page("forks")).json["forks"][0]["running"]
    assert (await page("forks.drop", {"name": "alive"})).status == 200


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", "-x", "a" * 41, "nobody", None])
async def test_a_page_names_things_and_no_path(http, page, name):
    for deed in ("backups.verify", "forks.compare", "forks.open", "forks.stop"):
        assert (await page(deed, {"name": name})).status in (404, 422), deed
    assert (await page("models.choose", {"name": "/etc/passwd.gguf"})).status == 404
    assert (await page("forks.make", {"name": "x", "at": "--drop"})).status == 422


async def test_the_doctor_says_what_it_found_and_few_wait_their_turn(http, page):
    told = await page("doctor", {"quick": True})
    assert "python" in {check["name"] for check in told.json["checks"]}
    many = await asyncio.gather(*(page("doctor", {"quick": True}) for _ in range(4)))
    assert sorted(answer.status for answer in many) == [200, 200, 200, 429]
