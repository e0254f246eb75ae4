# META {"kind": "dos", "goal": "hang", "args": [], "slots": {"name": "mallory"}}
def m(self):
    self.n = 1 << 40_000_000
    self._p_changed = True
    return 7 ** 3_000_000
