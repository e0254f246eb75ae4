"""Every route, as the OpenAPI document describes it: answers fit it, and so do refusals."""

import random
import urllib.parse

import fastjsonschema
import pytest

from bat_os.gateway.problems import STATUS
from tests.gateway.conftest import JSON, opened
from tests.kernels import ThinkingKernel

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]
ROUNDS = 2
LONG = {"verb_models_exam", "verb_reindex", "verb_discuss", "mission_events", "events"}
# What the gateway says by itself, besides the status of the code.
OWN = {400, 403, 404, 405, 412, 413, 415, 422, 428}
WORDS = ("genesis_obj", "traits_obj", "double", "", "nobody_obj", "a b", "\u00e9", "0" * 16, "now")


def draw_value(draw, schema, depth=0):
    """Return a value that often fits a schema, and sometimes does not."""
    kind = schema.get("type", "any")
    kind = draw.choice(kind) if isinstance(kind, list) else kind
    if draw.random() < 0.1:
        kind = draw.choice(("string", "integer", "array", "object", "null", "boolean"))
    if "enum" in schema and draw.random() < 0.8:
        return draw.choice(schema["enum"])
    if kind == "object" and depth < 4:
        known = schema.get("properties", {})
        wanted = set(schema.get("required", ()))
        chosen = [name for name in known if name in wanted or draw.random() < 0.4]
        made = {name: draw_value(draw, known[name], depth + 1) for name in chosen}
        return made | ({"strange": 1} if draw.random() < 0.05 else {})
    if kind == "array" and depth < 4:
        inner = schema.get("items", {})
        return [draw_value(draw, inner, depth + 1) for _ in range(draw.randrange(3))]
    plain = {"string": draw.choice(WORDS), "integer": draw.choice((0, 1, -1, 7, 1 << 70)),
             "number": draw.choice((0.5, -1, 1e300)), "boolean": draw.random() < 0.5,
             "null": None}  # fmt: skip
    return plain.get(kind, draw.choice(WORDS))


def draw_request(draw, path, method, operation):
    query = []
    for one in operation.get("parameters", ()):
        if one["in"] == "path":
            filled = urllib.parse.quote(draw.choice(WORDS) or "x", safe="")
            path = path.replace(f"{{{one['name']}}}", filled)
        elif one["in"] == "query" and draw.random() < 0.4:
            query.append((one["name"], draw.choice((*WORDS, "3"))))
    content = operation.get("requestBody", {}).get("content", {})
    body = draw_value(draw, content["application/json"]["schema"]) if JSON_KIND in content else None
    query = f"?{urllib.parse.urlencode(query)}" if query else ""
    return method.upper(), path + query, body


JSON_KIND = JSON["content-type"]


async def test_answers_and_refusals_are_as_the_document_says(tmp_path):
    draw = random.Random(5)  # noqa: S311 - no secret
    async with ThinkingKernel(tmp_path / "home") as kernel, opened(kernel) as http:
        kernel.gate.set()
        made = (await http.ask("GET", "/openapi.json")).json
        refuses = fastjsonschema.compile(made["components"]["schemas"]["Problem"])
        seen = set()
        for path, methods in made["paths"].items():
            for method, operation in methods.items():
                if operation["operationId"] in LONG:
                    continue
                for _ in range(ROUNDS):
                    asked = draw_request(draw, path, method, operation)
                    headers = {"if-match": "*"} if method in ("put", "delete") else {}
                    answer = await http.ask(*asked, scope="teach", headers=headers)
                    seen.add(answer.status)
                    check(answer, operation, refuses, asked)
        assert {200, 403, 404, 422} <= seen


def check(answer, operation, refuses, asked):
    if answer.status in (200, 202):
        told = operation["responses"].get(str(answer.status))
        assert told, (asked, answer.status)
        fastjsonschema.compile(told["content"][JSON_KIND]["schema"])(answer.json)
        return
    ((kind, refused),) = operation["responses"]["default"]["content"].items()
    assert answer.headers["content-type"] == kind, (asked, answer)
    if kind == JSON_KIND:  # OpenAI's form
        fastjsonschema.compile(refused["schema"])(answer.json)
        return
    problem = answer.json
    refuses(problem)
    assert problem["status"] == answer.status
    assert problem["code"] != "INTERNAL", (asked, answer)
    assert answer.status == STATUS[problem["code"]] or answer.status in OWN, (asked, answer)
