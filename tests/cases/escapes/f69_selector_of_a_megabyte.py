# META {"kind": "proto", "goal": "dos", "args": [], "slots": {"name": "mallory"}}
def m(self):
    tell = _bat_report
    tell(["send", "calculator", "x" * 1_000_000, [], {}, {}, []])
    return _bat_ask()
