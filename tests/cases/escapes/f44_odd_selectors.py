# META {"kind": "secret", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
def m(self):
    got = []
    names = ("", "__class__", "_pin", "_p_jar", "a b", "\x00", "class", "\u202e", "slots")
    for name in (*names, "x" * 10_000):
        try:
            got.append(getattr(self, name)())
        except Exception as error:
            got.append(type(error).__name__)
    return got
