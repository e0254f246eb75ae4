# META {"kind": "proto", "goal": "taint", "args": [], "slots": {"name": "mallory"}}
def m(self):
    tell = _bat_report
    tell(["done", {"t": 7}, {"b": "not bytes"}, {"d": None}, 3])
    return _bat_ask()
