# META {"kind": "proto", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    msgpack = random._os.sys.modules["ormsgpack"]
    world = self._world
    forged = msgpack.packb(msgpack.Ext(12, msgpack.packb([world.ref.oid, "vault"])))
    world._channel.send(["send", forged, "secret", msgpack.packb([]), msgpack.packb({}), {}, []])
    return "L1:" + str(world._channel.receive())
