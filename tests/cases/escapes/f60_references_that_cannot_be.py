# META {"kind": "proto", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
def m(self):
    tell = _bat_report
    tell(["send", -1, "x", [], {}, {}, []])
    return _bat_ask()
