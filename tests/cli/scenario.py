"""Every verb once, in an order in which each has something to say; in this process."""

import json
import shlex
import shutil
import subprocess
import sys
from unittest import mock

from bat_os.app.library import load_library
from bat_os.cli import update
from bat_os.cli.console import Screen, to_json
from bat_os.cli.show.command import Ask
from bat_os.cli.verbs import COMMANDS, make_parser
from bat_os.image.proposals import Proposal, put
from tests.world.mcp.servers import HOSTILE

SOURCE = 'def treble(self, number):\n    """Treble a number."""\n    return number * 3\n'
SEVEN = "def give_seven(self):\n    return 3 + 4\n"
INSTRUCTIONS = {
    "schema": 1,
    "id": "u1",
    "from": "0.1.0",
    "to": "0.2.0",
    "actions": [{"git_ff": {"commit": "0" * 40}}],
}
# {verb[field]} is of the last answer of that verb.
STEPS = """\
config
config example
completion bash
list
personas
states
status
send genesis_obj double 21
ask "treble 5" --as double(5)
teach genesis_obj {tmp}/treble.py --example "2 gives 6"
inspect genesis_obj
derive genesis_obj vehicle_obj
derive vehicle_obj car_obj
parents car_obj robin_obj --add
parents car_obj
list --tree
list --stale
rename car_obj auto_obj
delete auto_obj
undo {delete[transaction]}
source genesis_obj treble
find "treble a number"
approve
approve genesis_obj double --example "4 gives 8"
why genesis_obj double
versions genesis_obj treble
history genesis_obj
teach genesis_obj {tmp}/again.py
diff-method genesis_obj treble 1 2
verify-method genesis_obj treble
golden
proposals
since
accept 1
dismiss 2
pin genesis_obj treble
unpin genesis_obj treble
unlearn genesis_obj treble
redo genesis_obj treble
recall --model scripted
grant {tmp}/bats.md --as bats
grant {tmp}/treble.md --write --as treble
send treble_obj write "" "three times"
effects --all
effects undo {effects[effects][0][number]}
grants
narrow bats_obj {tmp}/bats.md --as one --only read
allow bats_obj one_obj
flows
disallow bats_obj one_obj
revoke bats_obj
grant-mcp adder {python} {server} --see {server}
schedule "every weekday at 8" send genesis_obj double 21
schedule "tomorrow at 9" call Ann
schedules
unschedule {schedule[number]}
learn {tmp}/bats.md
learn {tmp}/bats.md --watch
schedule "when '{tmp}/bats.md' changes" remind look at it
documents
search "upside down"
reindex
erase "hang upside down"
models
models fit
missions
talks
experience
canary
forge
space
forks
rehearse genesis_obj double 4
export genesis_obj.treble
export genesis_obj {tmp}/treble.json
export --all {tmp}/mine
import --all {tmp}/mine
keys token phone --may learn
keys list
minds
open --close
verify
import {tmp}/treble.json --as other_obj
teach genesis_obj {tmp}/seven.py
relearn genesis_obj give_seven
watch {missions[missions][0][brief_id]}
cancel {missions[missions][0][brief_id]}
discuss "who hangs upside down?"
send genesis_obj setSlot colour red
backup {tmp}/backup
send genesis_obj setSlot colour blue
diff {backup[tid]} now
bisect genesis_obj getSlot colour --good {backup[tid]}
forget {documents[documents][0][doc_id]}
backup {tmp}/backup --verify
restore {tmp}/backup {tmp}/restored
archive {tmp}/archive.tar.gz --reason "to have one"
fork second
diff --with second
cherry-pick second genesis_obj.treble
mcp --print claude
chronicle
pack
doctor --quick
setup
update --check
licences
logs
report
service show
upgrade {tmp}/update_instructions.json --seal
stop
uninstall
"""


def propose(root):
    """Leave two proposals, as the heartbeat does."""
    deed = {"do": "verb", "verb": "verify-method", "target": "genesis_obj", "selector": "treble"}
    choices = [{"shown": "verify it", "deed": deed | {"body": {}}}]
    found = [
        Proposal("doubt", key, f"treble is {key}", "so", choices, []) for key in ("one", "two")
    ]
    return put(root, found, at=5.0)


def follow(project, origin):
    """Make a repository and a clone of it; return the clone, to which nothing is new."""
    git = ("git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    subprocess.run([*git, "init", "-q", "-b", "main", origin], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], cwd=origin, check=True)
    subprocess.run([*git, "clone", "-q", origin, project], check=True)
    return project


async def run_verb(home, line):
    """Return what ``batos VERB ... --json`` writes, as its text."""
    options = make_parser().parse_args([*shlex.split(line), "--home", str(home.home.path)])
    async with home.client() as kernel:
        ask = Ask(kernel, home.home.path, options, Screen(as_json=True))
        return options.verb, to_json(await COMMANDS[options.verb].run(ask))


async def run_all(thinking, tmp_path):
    """Yield (verb, line, text) of each step."""
    thinking.gate.set()
    await load_library(thinking.mind)  # its files_obj is what a grant makes a child of
    (tmp_path / "treble.py").write_text(SOURCE)
    (tmp_path / "again.py").write_text(SOURCE.replace("number * 3", "3 * number"))
    thinking.home.kernel_log.write_text("one line\n")
    (tmp_path / "seven.py").write_text(SEVEN)
    (tmp_path / "update_instructions.json").write_text(json.dumps(INSTRUCTIONS))
    (tmp_path / "bats.md").write_text("# Bats\n\nBats sleep by day and hang upside down.\n")
    server = tmp_path / HOSTILE.name  # no grant reaches the program's own folder
    shutil.copy(HOSTILE, server)
    await thinking.mind.image.transact(propose, note="propose")
    told = {}
    with mock.patch.object(update, "ROOT", follow(tmp_path / "project", tmp_path / "origin")):
        for step in STEPS.splitlines():
            line = step.format(tmp=tmp_path, python=sys.executable, server=server, **told)
            verb, text = await run_verb(thinking, line)
            told[verb] = json.loads(text)
            yield verb, line, text
