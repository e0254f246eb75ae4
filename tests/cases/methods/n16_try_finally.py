# META {"args": ["7"], "slots": {"tries": 0}, "expect": [7, "done"], "slots_after": {"tries": 1}}
def parse_number(self, text):
    steps = []
    try:
        steps.append(int(text))
    except (TypeError, ValueError) as error:
        steps.append(str(error))
    else:
        self.tries += 1
    finally:
        steps.append("done")
    return steps
