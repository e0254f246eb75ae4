# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
def m(self):
    got = []
    for name in ("self", "oid", "sender", "\x00", "\ud800", "k" * 10_000, "__class__", ""):
        try:
            got.append(self.missing(**{name: 1}))
        except Exception as error:
            got.append(type(error).__name__)
    return got
