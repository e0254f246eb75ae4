# META {"args": [], "slots": {"log": []}, "expect": ["in", "work", "out"], "slots_after": {"log": ["in", "work", "out"]}}
class Section:
    def __init__(self, log):
        self.log = log
    def __enter__(self):
        self.log.append("in")
        return self
    def __exit__(self, kind, error, trace):
        self.log.append("out")
        return True

def guarded(self):
    with Section(self.log):
        self.log.append("work")
        raise ValueError("kept inside")
    return list(self.log)
