# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
def m(self):
    tell = _bat_report
    tell(["send", "calculator", "add", [], None, {}, []])
    return _bat_ask()
