# META {"kind": "proto", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
import random

def m(self):
    msgpack = random._os.sys.modules["ormsgpack"]
    world = self._world
    body = msgpack.packb(["0" * 15 + "1", "vault"])
    forged = msgpack.packb(msgpack.Ext(12, body))
    empty = msgpack.packb([])
    world._channel.send(["send", forged, "secret", empty, msgpack.packb({}), {}, []])
    return "L1:" + str(world._channel.receive())
