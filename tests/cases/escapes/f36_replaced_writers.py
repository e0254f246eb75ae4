# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
def m(self):
    _BAT_WRITERS[int] = lambda value: {"d": 5}
    self.count = 4711
    self._p_changed = True
    return 1
