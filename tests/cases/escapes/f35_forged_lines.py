# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
def m(self):
    _bat_tell = _bat_report
    _bat_tell(["send", {"d": [1]}, "x", [], [], {}, []])
    return _bat_ask()
