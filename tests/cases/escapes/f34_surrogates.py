# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
def m(self):
    self.text = "\udcff" * 1000
    self.names = {"\ud800": "\x00", "\u202e": "\x1e{}"}
    print("\ud800\x1b[2J")
    self._p_changed = True
    return ["\ud800", "\x1b]0;owned\x07"]
