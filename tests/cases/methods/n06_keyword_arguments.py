# META {"args": ["hi"], "kwargs": {"name": "Ann", "age": 7}, "expect": "hi: age=7, name=Ann"}
def describe(self, title, *extra, sep=", ", **fields):
    parts = [*extra, *(f"{key}={fields[key]}" for key in sorted(fields))]
    return f"{title}: {sep.join(parts)}"
