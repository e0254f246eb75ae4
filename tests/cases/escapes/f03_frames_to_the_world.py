# META {"kind": "frames", "goal": "secret", "args": [], "slots": {"name": "mallory"}}
def m(self):
    try:
        raise ValueError
    except ValueError as error:
        frame = error.__traceback__.tb_frame
    found = []
    while frame is not None:
        found.append(sorted(map(str, frame.f_globals))[:50])
        for value in list(frame.f_locals.values()):
            if type(value).__name__ == "World":
                value.ref = value.codec.as_ref(value.receiver)
                found.append(value.send("vault", "secret", [], {}))
        frame = frame.f_back
    return "L1:" + str(found)
