"""Examples at the end of ``batos VERB --help``; a test reads each with the parser itself."""

from __future__ import annotations

from typing import Final

# As a shell reads them, without the word ``batos``.
EXAMPLES: Final = """\
approve
approve genesis_obj double --example "4 gives 8"
approve genesis_obj double --no
archive /safe/mind-2026.tar.gz --reason "before the big change"
ask "double the number 21"
ask "double a number" --as "double(21)"
backup /safe/place
backup /safe/place --verify
bisect genesis_obj double 21 --good "2 hours ago"
cancel 01a1ff61d73cd6d845301288
cherry-pick trial genesis_obj.double
cherry-pick /home/ann/data robot_obj.wave --into genesis_obj
chronicle
completion bash
config show
config example
diff "1 hour ago" now
diff-method genesis_obj double 1 2
discuss "should we learn French?"
doctor
doctor --quick --json
documents
experience
experience --jsonl missions.jsonl
export robot_obj robot.json
export genesis_obj.double
find "double a number"
forget notes.md
fork trial
fork yesterday --at "1 day ago"
fork trial --drop
forks
health --json
history genesis_obj
history genesis_obj double
import robot.json --as second_robot_obj
import double.json --into genesis_obj
inspect genesis_obj
inspect genesis_obj --at "1 hour ago"
keys make ann --connect tcp://192.168.1.5:5556
keys list
keys revoke ann
learn notes.md
learn ~/papers
learn -
list
logs --follow
logs --events -n 10
missions
missions --state failed
models
models fit
models add Qwen2.5-0.5B ~/models/qwen
models pin SmolLM2-135M-Instruct
pack --days 7
personas
pin genesis_obj double
recall --model SmolLM2-135M-Instruct
redo genesis_obj double
rehearse genesis_obj double 21
reindex
relearn genesis_obj double --example "4 gives 8"
restore /safe/place ~/second-mind
search "who hangs upside down?"
search bats --kind document --limit 3
send genesis_obj double 21
send genesis_obj setSlot '["colour", "red"]'
send greeter_obj greet Ann loud=true
send greeter_obj greet '["Ann"]' '{"loud": true}'
service show
service install
shutdown
source genesis_obj double
space
status
stop
talks
teach genesis_obj treble.py --example "2 gives 6"
unlearn genesis_obj double
unpin genesis_obj double
upgrade --dry-run
verify
verify-method genesis_obj double
versions genesis_obj double
watch
why genesis_obj double
"""


def describe_examples(verb: str) -> str:
    """Return the examples of a verb as the end of its help; "" where it has none."""
    lines = [line for line in EXAMPLES.splitlines() if line.split()[0] == verb]
    if not lines:
        return ""
    return "\n".join(["examples:" if len(lines) > 1 else "example:"]
                     + [f"  batos {line}" for line in lines])  # fmt: skip
