# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    msgpack = random._os.sys.modules["ormsgpack"]
    moments = [
        msgpack.Ext(6, msgpack.packb([year, 13, 99, 25, 61, 61, 10**7, 0, "UTC"]))
        for year in (-1, 0, 10_000, 2**62)
    ]
    moments += [msgpack.Ext(6, msgpack.packb(text)) for text in ("0000-00-00", "99999-01-01", "")]
    self._world._channel.send(["done", msgpack.packb(moments), {}, [], ""])
    random._os._exit(0)
