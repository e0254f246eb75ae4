"""The table of verbs, continued: what the mind learns from, and proposes, while nobody needs it."""

from __future__ import annotations

from typing import Final

from bat_os.core.fields import Field, Verb
from bat_os.core.system_verbs import LONG, MINUTES

_N: Final = Field("n", "whole", "number of the proposal", "number", required=True, least=1)
_PROPOSALS: Final = (
    "proposals:[n:count kind at:num what why evidence:map choices:texts command] spent:num "
    "budget:num resting"
)

# fmt: off
IDLE_VERBS: Final = (
    Verb("experience", "list what missions went through", (
        Field("jsonl", "text", "write one JSON object a line; - for standard output", "--jsonl",
              place="client", shown="FILE"),
        Field("after", "text", "only later ones than this", "--after", most=200, shown="MISSION"),
        Field("limit", "whole", "of one page", default=50, least=1, most=200)),
        reply="experience:list after",
        prints="experience:list",
        note="A record per mission that ended, oldest first (docs/personas.md); `after` for the "
             'next page, or "".',
        examples=("", "--jsonl missions.jsonl"), access="reads", seconds=MINUTES),
    Verb("golden", "list the learned methods that are worth learning from", (
        Field("grade", "text", "of this grade only (default: gold and silver)", "--grade",
              choices=("", "gold", "silver", "none")),
        Field("jsonl", "text", "write one JSON object a line; - for standard output", "--jsonl",
              place="client", shown="FILE"),
        Field("after", "text", "the page after this one", most=400),
        Field("limit", "whole", "of one page", default=200, least=1, most=200)),
        reply="golden:list after counts:map digest",
        prints="golden?:list counts:map digest file? records?:count",
        note="Computed when it is asked for (docs/self-improvement.md). `counts`: of each grade; "
             "`digest`: of all gold; `after`: for the next page, or \"\".",
        examples=("", "--grade gold --jsonl gold.jsonl", "--grade none"),
        access="reads", seconds=MINUTES),
    Verb("proposals", "list what the mind found while nobody needed it", (
        Field("weeks", "flag", "also how the missions of the last 12 weeks ended", "--weeks"),),
        reply=_PROPOSALS + " dissonance:num curiosity:count "
              "weeks?:[week kept:count corrected:count asked:count failed:count]",
        note="`choices`: what accepting may do, the first if no other is named; `spent` and "
             "`budget`: seconds of processor time today; `resting`: why it does nothing just now; "
             "`dissonance`: how much of what is used is in doubt; `curiosity`: kinds of wishes "
             "that only a guess answers, or nothing. `weeks`: by Monday; `kept` were answered, of "
             "`corrected` what was learned was taken back, replaced, or failed in use.",
        examples=("", "--weeks"), access="reads"),
    Verb("accept", "take a proposal", (
        _N,
        Field("choice", "whole", "which of its choices", "choice?", default=1, least=1, most=9)),
        reply="n:count what done result:map undo:map",
        note="What is installed passes the audit, the cell and its examples first. `undo`: the "
             "verb that takes it back, with its target, selector and version, or {}.",
        examples=("3", "3 2"), seconds=MINUTES, scope="teach"),
    Verb("dismiss", "drop a proposal; the same does not come again", (_N,),
        reply="n:count what quiet:flag",
        note="`quiet`: of this kind nothing more comes for a month, since two of three were "
             "dismissed.",
        examples=("3",), scope="teach"),
    Verb("since", "tell what the mind found since you last asked",
        reply="text " + _PROPOSALS,
        note="`text`: one paragraph, or \"\".",
        examples=("",), scope="teach"),
    Verb("canary", "replay what was done before, as it is now or with a change", (
        Field("of", "texts", "OBJECT SELECTOR VERSION, a model, an adapter, or a persona, its "
              "entry and a value", "of*", shown="OF"),
        Field("cancel", "flag", "end the one that runs", "--cancel")),
        reply="better?:list worse?:list equal?:count replayed?:count take? leave? seconds?:num "
              "cancelled?:flag",
        note="Of the last 50 missions; nothing is changed. `better`, `worse`: `what`, `mission`, "
             "`known` (what was answered), `before`, `after`. `take`, `leave`: the command that "
             "has the change count, or takes it back.",
        examples=("", "genesis_obj double 2", 'alfred voice "You are brief."'), access="reads",
        seconds=LONG, scope="learn"),
    Verb("forge", "train an adapter from what the mind has learned, and see what came of it", (
        Field("do", "text", "status, start, stop, runs, take or undo", "do?", default="status",
              choices=("status", "start", "stop", "runs", "take", "undo")),
        Field("run", "whole", "take, undo: number of the run", "run?", default=0, least=0,
              most=1_000_000),
        Field("anyway", "flag", "start: even if little is new", "--anyway")),
        reply="forge?:map stopped?:flag runs?:list undone?:map taken?:map written?:texts",
        note="`forge`: `state` is idle, training, trying or stopped, and what is missing for the "
             "next run, or how far this one is. `runs`: the newest first, with what each gate "
             "found. `taken`: one that waited for a yes. `written`: methods that were "
             "written through the adapter that is undone.",
        examples=("", "start", "stop", "runs", "take 3", "undo 3"),
        seconds=MINUTES, scope="own", in_steps=True),
)
# fmt: on
