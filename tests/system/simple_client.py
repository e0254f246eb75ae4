"""A client as people write their first one: two frames over TCP, no token, `exit` quits.

    python simple_client.py ENDPOINT [BRIEFS]

Each line of standard input is a wish. BRIEFS is a JSON file of what a translator makes of one:
wish -> [selector, args, kwargs]. A wish that is not there goes as a client without one sends it.
"""

import asyncio
import json
import sys
import uuid
from pathlib import Path

import ormsgpack
import zmq
import zmq.asyncio


def translate(wish, known):
    selector, args, kwargs = known.get(wish, ["_".join(wish.lower().split()), [], {"intent": wish}])
    brief = {"type": "unhandled_message", "selector": selector, "args": args, "kwargs": kwargs}
    return {
        "command": "initiate_cognitive_cycle", "target_oid": "genesis_obj", "mission_brief": brief,
    }  # fmt: skip


async def talk(endpoint, known):
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.IDENTITY, str(uuid.uuid4()).encode())
    socket.connect(endpoint)
    while (wish := (await asyncio.to_thread(input)).strip()).lower() != "exit":
        await socket.send(ormsgpack.packb(translate(wish, known)))
        print(json.dumps(ormsgpack.unpackb(await socket.recv())), flush=True)  # noqa: T201
    context.destroy(0)
    print("ended")  # noqa: T201


if __name__ == "__main__":
    briefs = json.loads(Path(sys.argv[2]).read_text()) if sys.argv[2:] else {}
    asyncio.run(talk(sys.argv[1], briefs))
