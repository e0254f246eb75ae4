# META {"kind": "net", "goal": "connect", "args": [], "slots": {"name": "mallory"}}
import asyncio

async def reach():
    reader, writer = await asyncio.open_connection("127.0.0.1", @PORT@)
    process = await asyncio.create_subprocess_shell("touch @PWN@")
    return await process.wait()

def m(self):
    return asyncio.run(reach())
