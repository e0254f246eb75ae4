# META {"args": [[3, 1, 2]], "expect": [9, 1, 4]}
import asyncio

def squares(self, numbers):
    async def square(n):
        await asyncio.sleep(0)
        return n * n
    async def work():
        return await asyncio.gather(*(square(n) for n in numbers))
    return asyncio.run(work())
