# META {"kind": "import", "goal": "canary", "args": [], "slots": {"name": "mallory"}}
import random
def m(self):
    os = random._os
    sys = os.sys
    machinery = sys.modules["_frozen_importlib_external"]
    got = []
    for work in (
        lambda: machinery.SourceFileLoader("x", "@CANARY@").get_data("@CANARY@"),
        lambda: sys.modules["zipimport"].zipimporter("@CANARY@"),
        lambda: sys.path_hooks[0]("@CANARY@").find_spec("x"),
        lambda: machinery.ExtensionFileLoader("x", "/usr/lib/x86_64-linux-gnu/libc.so.6").create_module(None),
        lambda: sys.__class__.__loader__.load_module("_testcapi"),
    ):
        try:
            got.append(str(work()))
        except BaseException:
            pass
    return "L1:" + str(got)
