"""The routes: what they ask of the kernel, and how its answers look."""

import asyncio
import re
from pathlib import Path

import fastjsonschema
import httpx2
import pytest

from bat_os.core.verbs import SCOPE_OF
from bat_os.gateway.problems import STATUS
from tests.gateway.conftest import opened
from tests.kernels import ThinkingKernel

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[2]


async def make(http, name):
    """Make an object that no mission changes, nor what it inherits; return its address."""
    made = await http.ask("POST", "/verbs/derive", {"target": "traits_obj", "body": {"name": name}})
    assert made.status == 200, made
    return f"/objects/{name}"


async def test_a_message_is_accepted_where_it_can_be_looked_at(http):
    message = {"target_object_id": "UvmObjects/system", "method_name": "give_seven"}
    answer = await http.ask("POST", "/message", message)
    assert answer.status == 202
    assert answer.headers["location"] == f"/missions/{answer.json['brief_id']}"
    mission = await http.until_done(answer.headers["location"])
    assert mission.json["answer"]["body"]["result"] == 7


async def test_who_waits_gets_the_result(http):
    message = {"method_name": "double", "payload": {"number": 21}}
    answer = await http.ask("POST", "/message", message, headers={"prefer": "wait=60"})
    assert answer.status == 200
    assert answer.json["result"] == 42
    assert answer.headers["preference-applied"] == "wait=60"


async def test_clients_of_aura_need_nothing_but_another_address(http):
    """They know an address alone, send a map or a text as payload, and read any answer of 2xx."""
    token = http.token("learn")["authorization"].removeprefix("Bearer ")
    address = f"http://localhost:{token}@localhost:{http.port}/message"
    async with httpx2.AsyncClient(timeout=60) as client:
        message = {"method_name": ["remember", "milk"], "payload": {"text": "milk"}}
        answer = await client.post(address, json=message)
        assert answer.status_code == 202
        assert answer.json()["status"] == "Message accepted for processing."
        await http.until_done(answer.json()["mission"])
        for message, result in (
            ({"method_name": "double", "payload": {"number": 21}}, 42),
            ({"method_name": ["remember", "tea"], "payload": {"text": "tea"}}, ["milk", "tea"]),
            ({"target_object_id": "UvmObjects/system", "method_name": "give_seven", "args": [],
              "kwargs": {}}, 7),
        ):  # fmt: skip
            answer = await client.post(address, json=message)
            answer.raise_for_status()
            assert (answer.status_code, answer.json()["result"]) == (200, result)
        wrong = await client.post(address.replace(token, f"{token}x"), json=message)
        assert wrong.status_code == 401


async def test_what_is_known_is_answered_at_once_while_lessons_run(tmp_path):
    async with ThinkingKernel(tmp_path / "home") as kernel, opened(kernel) as http:
        lesson = await http.ask("POST", "/message", {"method_name": "slow_one"})
        assert lesson.status == 202
        known = {"target_object_id": "system", "method_name": "getSlot", "args": ["about"]}
        answer = await http.ask("POST", "/message", known)
        assert (answer.status, type(answer.json["result"])) == (200, str)
        assert not (await http.ask("GET", lesson.headers["location"])).json["done"]
        kernel.gate.set()
        assert (await http.until_done(lesson.headers["location"])).json["done"]


async def test_one_key_is_one_mission_and_another_body_is_refused(http):
    key = {"idempotency-key": '"abc"'}
    message = {"method_name": "remember", "args": ["milk"], "fresh": True}
    one = await http.ask("POST", "/message", message, headers=key)
    two = await http.ask("POST", "/message", message, headers=key)
    assert one.json["brief_id"] == two.json["brief_id"]
    other = await http.ask("POST", "/message", {**message, "args": ["tea"]}, headers=key)
    assert (other.status, other.json["code"]) == (422, "KEY_REUSED")
    theirs = await http.ask("POST", "/message", message, headers=key, scope="teach")
    assert theirs.json["brief_id"] != one.json["brief_id"]


async def test_a_mission_that_has_not_changed_is_not_sent_again(http):
    answer = await http.ask("POST", "/message", {"method_name": "give_seven", "fresh": True})
    place = answer.headers["location"]
    seen = await http.until_done(place)
    again = await http.ask("GET", place, headers={"if-none-match": seen.headers["etag"]})
    assert (again.status, again.raw) == (304, b"")


async def test_objects_are_listed_and_looked_at(http):
    listed = (await http.ask("GET", "/objects")).json["objects"]
    assert "genesis_obj" in [each["name"] for each in listed]
    one = (await http.ask("GET", "/objects/genesis_obj")).json
    assert one["slots"]["about"].startswith("the first object")
    assert (await http.ask("GET", "/objects/nobody_obj")).status == 404


async def test_a_slot_is_set_and_a_message_sent(http):
    place, any_ = f"{await make(http, 'room_obj')}/slots/colour", {"if-match": "*"}
    assert (await http.ask("PUT", place, {"value": "red"})).status == 428
    put = await http.ask("PUT", place, {"value": "red"}, headers=any_)
    assert put.status == 200
    sent = await http.ask("POST", "/objects/room_obj/getSlot", {"args": ["colour"]})
    assert sent.json["result"] == "red"
    gone = await http.ask("DELETE", place, headers={"if-match": put.headers["etag"]})
    assert gone.status == 200
    late = await http.ask("PUT", place, {"value": 1}, headers={"if-match": put.headers["etag"]})
    assert (late.status, late.json["code"]) == (412, "CONFLICT")
    assert f'"{late.json["details"]["serial"]}"' == gone.headers["etag"]


async def test_of_two_who_saw_the_same_one_wins(http):
    """The check is in the transaction that commits, so no interleaving lets both in."""
    track = await make(http, "track_obj")
    place = f"{track}/slots/race"
    await http.ask("PUT", place, {"value": 0}, headers={"if-match": "*"})
    for number in range(200):
        seen = {"if-match": (await http.ask("GET", track)).headers["etag"]}
        both = await asyncio.gather(
            *(http.ask("PUT", place, {"value": [number, who]}, headers=seen) for who in (1, 2))
        )
        assert sorted(answer.status for answer in both) == [200, 412]


async def test_what_an_object_inherits_belongs_to_what_was_seen(http):
    """A method or a name that it inherits has changed, so the shown object is another one."""
    base = await make(http, "base_obj")
    made = {"target": "base_obj", "body": {"name": "leaf_obj"}}
    assert (await http.ask("POST", "/verbs/derive", made)).status == 200
    source = "def weigh(self):\n    return 1\n"
    changes = (
        ("POST", "/verbs/teach", {"target": "base_obj", "body": {"source": source}}),
        ("POST", "/verbs/teach",
         {"target": "base_obj", "body": {"source": source.replace("1", "2")}}),
        ("POST", "/verbs/unlearn", {"target": "base_obj", "selector": "weigh"}),
        ("PUT", f"{base}/slots/colour", {"value": "red"}),
    )  # fmt: skip
    for method, path, body in changes:
        seen = await http.ask("GET", "/objects/leaf_obj")
        done = await http.ask(method, path, body, headers={"if-match": "*"})
        assert done.status == 200, done
        tag = {"if-none-match": seen.headers["etag"]}
        assert (await http.ask("GET", "/objects/leaf_obj", headers=tag)).status == 200, path
        late = await http.ask("PUT", "/objects/leaf_obj/slots/size", {"value": 1},
                              headers={"if-match": seen.headers["etag"]})  # fmt: skip
        assert (late.status, late.json["code"]) == (412, "CONFLICT"), path
    now = await http.ask("GET", "/objects/leaf_obj")
    put = await http.ask("PUT", "/objects/leaf_obj/slots/size", {"value": 1},
                         headers={"if-match": now.headers["etag"]})  # fmt: skip
    assert put.status == 200


async def test_what_is_noted_of_a_method_is_sent_again_and_hinders_no_change(http):
    place = await make(http, "faulty_obj")
    source = "def fail(self):\n    return 1 // 0\n"
    body = {"target": "faulty_obj", "body": {"source": source}}
    assert (await http.ask("POST", "/verbs/teach", body)).status == 200
    seen = await http.ask("GET", place)
    pinned = await http.ask("POST", "/verbs/pin", {"target": "faulty_obj", "selector": "fail"})
    assert pinned.status == 200, pinned
    tag = {"if-none-match": seen.headers["etag"]}
    again = await http.ask("GET", place, headers=tag)
    assert again.status == 200
    assert again.json["methods"]["fail"]["pinned"]
    put = await http.ask("PUT", f"{place}/slots/size", {"value": 1},
                         headers={"if-match": seen.headers["etag"]})  # fmt: skip
    assert put.status == 200, put


async def test_an_object_that_has_not_changed_is_not_sent_again(http):
    seen = await http.ask("GET", "/objects/traits_obj")
    tag = {"if-none-match": seen.headers["etag"]}
    assert (await http.ask("GET", "/objects/traits_obj", headers=tag)).status == 304
    page = await http.ask("GET", "/graph?limit=3")
    assert len(page.json["nodes"]) == 3
    tag = {"if-none-match": page.headers["etag"]}
    assert (await http.ask("GET", "/graph?limit=3", headers=tag)).status == 304
    rest = (await http.ask("GET", f"/objects?after={page.json['next']}")).json
    assert rest["objects"][0]["name"] > page.json["next"]


async def test_a_verb_is_asked_for_by_its_name(http):
    body = {"body": {"text": "genesis_obj.getSlot('about')"}}
    answer = await http.ask("POST", "/verbs/say", body)
    assert answer.json["value"].startswith("the first object")
    wrong = await http.ask("POST", "/verbs/find", {"body": {"limit": "many"}})
    assert (wrong.status, wrong.json["code"]) == (422, "INVALID_ARGS")


@pytest.mark.parametrize(
    "raw",
    [b"{", b"[]", b"\xff", b'{"a": NaN}', b"[" * 5000, b'{"args": ' + b"[" * 60 + b"]" * 60 + b"}"],
)
async def test_what_is_not_json_is_refused(http, raw):
    answer = await http.ask("POST", "/message", raw)
    assert answer.status == 400


async def test_bytes_go_both_ways(http):
    put = await http.ask("PUT", "/objects/genesis_obj/slots/raw", {"value": {"$bytes": "AAH/"}},
                         headers={"if-match": "*"})  # fmt: skip
    assert put.status == 200
    sent = await http.ask("POST", "/objects/genesis_obj/getSlot", {"args": ["raw"]})
    assert sent.json["result"] == {"$bytes": "AAH/"}


async def test_big_numbers_are_texts_for_who_would_round_them(http):
    value = 2**60 + 1
    any_ = {"if-match": "*"}
    await http.ask("PUT", "/objects/genesis_obj/slots/big", {"value": value}, headers=any_)
    asked = ("POST", "/objects/genesis_obj/getSlot", {"args": ["big"]})
    assert (await http.ask(*asked)).json["result"] == value
    page = {"accept": "application/json; big=text"}
    assert (await http.ask(*asked, headers=page)).json["result"] == str(value)


async def test_every_route_and_every_verb_is_in_the_document(http):
    made = (await http.ask("GET", "/openapi.json", scope="read")).json
    paths = made["paths"]
    assert set(SCOPE_OF) == {
        path.removeprefix("/verbs/") for path in paths if path.startswith("/verbs/")
    }
    assert {"/message", "/missions/{id}/events", "/objects/{name}", "/graph"} <= set(paths)
    assert set(made["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(
        STATUS
    )
    named = [each["operationId"] for path in paths.values() for each in path.values()]
    assert len(named) == len(set(named))
    for path, operations in paths.items():
        for each in operations.values():
            told = {one["name"] for one in each.get("parameters", ()) if one["in"] == "path"}
            assert told == set(re.findall(r"{(\w+)}", path)), path


@pytest.mark.parametrize(
    ("path", "asked"),
    [("/objects", "/objects?limit=2"), ("/graph", "/graph?limit=2"), ("/moments", "/moments"),
     ("/missions", "/missions"), ("/objects/{name}", "/objects/traits_obj"), ("/health", "/health"),
     ("/verbs/personas", "POST"), ("/verbs/find", "POST")],
)  # fmt: skip
async def test_an_answer_is_as_the_document_says(http, path, asked):
    made = (await http.ask("GET", "/openapi.json")).json
    told = {"body": {"text": "double a number"}} if path == "/verbs/find" else {}
    call = ("POST", path, told) if asked == "POST" else ("GET", asked)
    answer = await http.ask(*call)
    operation = made["paths"][path][call[0].lower()]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    fastjsonschema.compile(schema)(answer.json)


async def test_what_a_problem_points_to_is_there_without_a_token(http):
    wrong = await http.ask("GET", "/objects/nobody_obj")
    place, _, code = wrong.json["type"].partition("#")
    listed = (await http.rude("GET", place)).json["errors"]
    assert [row["status"] for row in listed if row["code"] == code] == [404]


async def test_every_code_of_the_wire_has_its_status():
    text = (ROOT / "docs" / "protocol.md").read_text()
    codes = re.findall(r"^\| `([A-Z_]+)` \| (?:no|yes|either)", text, re.MULTILINE)
    assert len(codes) > 25
    assert set(codes) == set(STATUS)


async def test_a_kernel_that_went_away_is_a_problem_and_the_next_one_answers(tmp_path):
    home = tmp_path / "home"
    async with ThinkingKernel(home) as first:
        first.gate.set()
        async with opened(first) as http:
            assert (await http.ask("GET", "/objects")).status == 200
            first.kernel.stop()
            await first.task
            first.home.endpoint.unlink()
            lost = await http.ask("POST", "/objects/genesis_obj/getSlot", {"args": ["about"]})
            assert (lost.status, lost.json["code"]) == (503, "UNREACHABLE")
            waiting = asyncio.create_task(http.ask("GET", "/objects"))
            async with ThinkingKernel(home):
                assert (await waiting).status == 200
