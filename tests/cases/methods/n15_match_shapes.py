# META {"args": [[["move", 1, 2], {"go": "home", "speed": 3}, "stop", []]], "expect": ["to 1,2", "home at 3", "halt", "?"]}
def read_commands(self, commands):
    told = []
    for command in commands:
        match command:
            case ["move", int(x), int(y)]:
                told.append(f"to {x},{y}")
            case {"go": place, **rest} if "speed" in rest:
                told.append(f"{place} at {rest['speed']}")
            case "stop" | "halt":
                told.append("halt")
            case _:
                told.append("?")
    return told
