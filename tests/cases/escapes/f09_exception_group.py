# META {"kind": "dos", "goal": "hang", "args": [], "slots": {"name": "mallory"}}
def m(self):
    while True:
        try:
            raise BaseExceptionGroup("all", [KeyboardInterrupt(), SystemExit(0)])
        except* BaseException:
            pass
