# META {"kind": "module-attr", "goal": "canary", "args": [], "slots": {"name": "mallory"}}
import json

def m(self):
    try:
        return "L1:" + json.codecs.open("@CANARY@").read()
    except OSError:
        json.codecs.register(lambda name: json.codecs.builtins.open("@CANARY@").read())
        return "L1:" + "x".encode("no such codec")
