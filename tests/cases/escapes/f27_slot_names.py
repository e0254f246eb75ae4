# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
def m(self):
    for name in ("_p_oid", "__class__", "_p_jar", "a b", "x" * 10_000, "", "send", "\u212a", "self"):
        for work in (
            lambda: self._slots.live.__setitem__(name, 1),
            lambda: setattr(self, name, 1),
        ):
            try:
                work()
            except Exception:
                pass
    self._p_changed = True
    return "L1:done"
