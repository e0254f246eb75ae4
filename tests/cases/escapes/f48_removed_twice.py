# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
def m(self):
    del self.name
    try:
        del self.name
    except AttributeError:
        pass
    self._p_changed = True
    self.name = "x"
    del self.name
