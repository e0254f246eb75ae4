"""bat_os.kernel.missions.fairness: sessions come in by turns, whoever asked first."""

import asyncio
import itertools

from bat_os.kernel.missions.fairness import MOST_REST, FairGate


class Visits:
    """Visitors of a gate who leave when they are told to, and the order in which they came in."""

    def __init__(self, width):
        self.gate = FairGate(width)
        self.order = []

    async def visit(self, session, name):
        async with self.gate.enter(session):
            self.order.append(name)
            await asyncio.sleep(0)

    async def all(self, *visits):
        await asyncio.gather(*(self.visit(name[0], name) for name in visits))


async def test_one_who_comes_with_many_does_not_hold_up_one_who_comes_with_few():
    visits = Visits(1)
    await visits.all("a1", "a2", "a3", "a4", "b1", "b2", "c1")
    assert visits.order == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]


async def test_within_a_session_the_first_comes_first():
    visits = Visits(2)
    await visits.all(*(f"a{n}" for n in range(9)))
    assert visits.order == [f"a{n}" for n in range(9)]


async def test_no_more_than_the_width_are_inside_and_none_waits_while_a_place_is_free():
    gate, inside, most = FairGate(3), 0, 0

    async def visit(session):
        nonlocal inside, most
        async with gate.enter(session):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(visit(str(n % 4)) for n in range(40)))
    assert (most, inside) == (3, 0)


async def test_one_who_goes_away_while_waiting_leaves_the_place_to_the_next():
    visits = Visits(1)
    async with visits.gate.enter("x"):
        going = asyncio.ensure_future(visits.visit("a", "a1"))
        staying = asyncio.ensure_future(visits.visit("a", "a2"))
        await asyncio.sleep(0)
        going.cancel()
    await asyncio.gather(going, staying, return_exceptions=True)
    await visits.all("b1")
    assert visits.order == ["a2", "b1"]


async def test_one_who_goes_away_in_the_moment_of_coming_in_gives_the_place_back():
    visits = Visits(1)
    async with visits.gate.enter("x"):
        going = asyncio.ensure_future(visits.visit("a", "a1"))
        await asyncio.sleep(0)
    going.cancel()  # the place is already its own
    await asyncio.gather(going, return_exceptions=True)
    await visits.all("b1")
    assert visits.order == ["b1"]


async def test_a_place_that_rests_is_empty_for_a_multiple_of_the_time_that_it_was_held():
    loop, gate = asyncio.get_running_loop(), FairGate(1, rest=4.0)

    async def look():
        async with gate.enter("a"):
            came = loop.time()
            await asyncio.sleep(0.003)
            return came, loop.time()

    visits = sorted(await asyncio.gather(*(look() for _ in range(6))))
    for (came, went), (then, _) in itertools.pairwise(visits):
        assert then - went >= min(4.0 * (went - came), MOST_REST) - 0.001  # a tick of the loop


async def test_one_who_goes_away_while_a_place_rests_does_not_keep_it():
    gate = FairGate(1, rest=1.0)
    async with gate.enter("a"):
        await asyncio.sleep(0.003)
    going = asyncio.ensure_future(gate.enter("b").__aenter__())
    await asyncio.sleep(0)
    going.cancel()
    async with asyncio.timeout(30), gate.enter("c"):
        assert going.cancelled()
