"""The real kernel, made worse on purpose: mutants that the checker must catch, and a bad disk.

    CAMPAIGN_HURT=no_key python -m tests.campaign.hurt_kernel serve --home HOME --supervised ...

    ack_first          says ``accepted`` before the brief is stored
    no_key             does not look whether a key is known
    two_transactions   commits the effect first, and COMPLETE in a second transaction
    fsync:N            the image file's Nth fsync from now fails with EIO, once SIGUSR1 has come

Nothing of this is in the product.
"""

import asyncio
import errno
import importlib
import os
import signal
import sys
import time

VARIABLE = "CAMPAIGN_HURT"
LATE = 0.05  # seconds until the mutant stores what it has acknowledged


def ack_first():
    from bat_os.core.mission import Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.missions.scheduler import Scheduler

    stored, accept, result = {}, Scheduler.accept, Scheduler.result

    async def accept_at_once(self, brief, session, key):
        if self.writer._waiting or key in stored:
            return await accept(self, brief, session, key)

        async def store():
            await asyncio.sleep(LATE)
            return await accept(self, brief, session, key)

        storing = stored[key] = asyncio.ensure_future(store())
        return Record(f"of {key}", Mission(brief), session, time.time(), 0, _Later(storing))

    async def result_later(self, mission_id, listener=None):
        if mission_id.startswith("of "):
            mission_id = (await stored[mission_id[3:]]).id
        return await result(self, mission_id, listener)

    class _Later:
        """An answer that is not there yet: false, so that the dispatcher waits."""

        def __init__(self, storing):
            self.storing = storing

        def __bool__(self):
            return False

    Scheduler.accept, Scheduler.result = accept_at_once, result_later


def no_key():
    from bat_os.image import missions

    open_brief = missions.open_brief

    def open_always(root, brief, **about):
        id_of, missions.id_of = missions.id_of, lambda root, key: ""
        try:
            return open_brief(root, brief, **about)
        finally:
            missions.id_of = id_of

    missions.open_brief = open_always


def two_transactions():
    """Dies between the two, where BATOS_FAILPOINT is set."""
    from bat_os.failpoints import arm
    from bat_os.kernel import dispatcher
    from bat_os.kernel.learning import cycle

    take_turn, told = cycle.take_turn, os.environ.pop("CAMPAIGN_BETWEEN", "")

    async def take_turn_twice(image, cell, brief, candidate=None, *, settle, **more):
        answer = await take_turn(image, cell, brief, candidate, **more)
        arm(told)
        return await image.transact(lambda root: settle(root, answer), note="the other half")

    cycle.take_turn = dispatcher.take_turn = take_turn_twice


def fail_fsync(number):
    module = importlib.import_module("ZODB.FileStorage.FileStorage")  # its name is a class's too
    fsync, left = module.fsync, [0]

    def fail_once(handle):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(handle)

    module.fsync = fail_once
    signal.signal(signal.SIGUSR1, lambda *_: left.__setitem__(0, number))


def main(argv):
    name, _, number = os.environ[VARIABLE].partition(":")
    if name == "fsync":
        fail_fsync(int(number))
    else:
        {"ack_first": ack_first, "no_key": no_key, "two_transactions": two_transactions}[name]()
    from bat_os.cli import main as kernel

    return kernel.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
