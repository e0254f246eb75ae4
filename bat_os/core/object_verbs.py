"""The table of verbs, continued: messages, objects, their methods, and where those come from."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bat_os.core.fields import MAX_TEXT, Field, Verb
from bat_os.core.program_verbs import AFTER, IF_SERIAL, LIMIT
from bat_os.core.system_verbs import KEY, LONG, MINUTES, RESULT

MAX_SAID: Final = 64 << 10  # characters of a sentence
WHEN: Final = "'2 hours ago', 2026-11-21T14:30, or the id of a transaction or mission"

_TARGET: Final = Field("target", "text", "name or oid", "object", place="envelope", required=True)
_SELECTOR: Final = Field(
    "selector", "text", "the message", "selector", place="envelope", required=True
)
_PERHAPS: Final = replace(_SELECTOR, word="", required=False)
_METHOD: Final = (_TARGET, _SELECTOR)
_ARGS: Final = Field("args", "list", "as those of send", "words*", place="envelope", shown="ARGS")
_KWARGS: Final = Field("kwargs", "map", "arguments by name", place="envelope")
_MESSAGE: Final = (*_METHOD, _ARGS, _KWARGS)
_EXAMPLES: Final = Field(
    "examples", "examples", "what it has to answer", "--example", shown="'5 gives 120'"
)
_WISH: Final = Field("text", "text", "the wish in words", most=MAX_TEXT)
_FRESH: Final = Field("fresh", "flag", "learn it anew even if a known skill would serve", "--fresh")
_BRIEF: Final = (
    _WISH,
    replace(_EXAMPLES, word=""),
    Field("mode", "text", "`cascade`: all personas work on it", choices=("", "cascade")),
    Field(
        "persona_id",
        "text",
        "who writes: a persona, or a facet as `BRICK:tamland`",
        "--persona",
        most=200,
    ),
    Field("tokens", "flag", "send text while models write it"),
)
_VERSION: Final = Field(
    "version", "whole", "number of the version", "--version", 0, least=0, shown="N"
)
_OBJECT: Final = "name oid:oid parents:texts"
_FLAGS: Final = "selectors:texts tainted:list failing:list"
_STALE: Final = (
    "stale?:[object selector version:count "
    "changes:[what:callee|parents|passage|record|library|grant name change] "
    "tainted:map failing:map broken]"
)
_MOVED: Final = "target selector version:count status"
_NAMES: Final = "names:texts"  # other names of the skill, which went or came with it
_IMPORTED: Final = "object new:flag methods:[selector version:count status sha256]"
_VERSIONS: Final = (
    "object selector current:count pinned:count tainted:map waiting:count versions:[version:count "
    "current:flag status sha256:sha whole:flag lines:count persona model created:num mission "
    "examples:count imported:flag] moves:list"
)

# fmt: off
# A table is read best in few lines: a verb's name and purpose, what it takes, what it answers.
OBJECT_VERBS: Final = (
    Verb("send", "send a message to an object", (
        *_METHOD,
        replace(_ARGS, help="plain words (Ann 5 loud=true), or a JSON list and a JSON map"),
        *(_KWARGS, KEY, *_BRIEF, _FRESH, IF_SERIAL),
        Field("cascade", "flag", "have all personas work on what has to be learned", "--cascade",
              place="client")),
        reply=RESULT,
        note="Understood, it is a turn: no `accepted`, no events. Not understood, or `fresh`: "
        "as `brief`.",
        examples=(
            "genesis_obj double 21", """genesis_obj setSlot '["colour", "red"]'""",
            "greeter_obj greet Ann loud=true", """greeter_obj greet '["Ann"]' '{"loud": true}'"""),
        access="past", scope="send"),
    Verb("brief", "have a mission answer a message, understood or not", (
        *_MESSAGE, KEY, *_BRIEF, _FRESH),
        reply=RESULT,
        note="Before it, `accepted` and an `event` per state; see below.",
        on="wire", scope="learn"),
    Verb("say", "answer a sentence of a person", (
        Field("text", "text", "what is wanted, in words", required=True, most=MAX_SAID),
        Field("call", "text", "read the sentence as this message: `selector(5)`", most=MAX_TEXT),
        _FRESH,
        Field("tokens", "flag", "send text while models write it"),
        Field("once", "flag", "the conversation ends with this answer, and nothing of it is kept"),
        replace(KEY, help="asked again with it, nothing is done twice")),
        reply="kind:computed|recalled|acted|said|guess|asked|unable text value:any reading "
              "needs:|grant|example|clarification|confirmation|model choices:texts sources:list "
              "undo learned:flag model_calls:count language seconds:num news?",
        note="`news`: what idle work found, at the first sentence after six hours. "
        "`session` of the envelope names the conversation, and `target` who is meant if the "
        "sentence names nobody. Before it, an `event` with `text` "
        "if a mission begins, and one per state of it.",
        on="wire", seconds=MINUTES, scope="send"),
    Verb("ask", "say what you want, in words", (
        Field("sentence", "words", "what you want, in words", "sentence+"),
        Field("session", "text", "conversation that it belongs to; the next sentence with this "
              "name can refer to it", "--session", place="client", shown="NAME"),
        _FRESH,
        Field("call", "text", "read the sentence as this, and remember its words: 'selector(5)'",
              "--as", shown="CALL"),
        Field("plain", "flag", "no colours, nothing redrawn: for screen readers", "--plain",
              place="client")),
        reply="kind:computed|recalled|acted|said|guess|asked|unable text value:any reading needs "
              "choices:texts sources:list undo learned:flag seconds:num model_calls:count language",
        examples=('"what is 17% of 340"', '"double a number" --as "double(21)"',
                  '"and of 80?" --session work'),
        on="command line", seconds=MINUTES),
    Verb("list", "list the root objects", (
        Field("tree", "flag", "each below its first parent", "--tree", place="client"),
        Field("stale", "flag", "the methods instead under which something has changed since they "
              "were verified: callees, parents, documents", "--stale"), AFTER, LIMIT),
        reply=f"objects:[{_OBJECT} slots:count {_FLAGS} library?:flag] next? {_STALE}",
        note="By name, a page at a time; `next` is the `after` of the next page, or \"\".",
        prints=f"objects:[{_OBJECT} slots:count {_FLAGS} library?:flag] tree?:flag {_STALE}",
        examples=("", "--tree", "--stale"), access="past"),
    Verb("inspect", "show one object: slots, methods, parents", (
        _TARGET, _PERHAPS),
        reply=f"{_OBJECT} serial line:texts slots:map {_FLAGS} methods:map inherited:map "
              "cut?:[part name why begins] left_out?:count",
        note="Over 20 methods come without provenance unless one is named; then slots are left "
             "out. What does not fit into a message is named in `cut`, up to 50 parts. `serial`: "
             "of the object, its methods and what it inherits from, the newest.",
        examples=("genesis_obj", 'genesis_obj --at "1 hour ago"'), access="past"),
    Verb("source", "show the source of a learned method", _METHOD,
        reply="object selector status:verified|provisional|taught|shipped version:count "
              "versions:count source sha256:sha provenance:map",
        examples=("genesis_obj double",), on="command line", access="past"),
    Verb("teach", "install a method that you wrote", (
        *(_TARGET, _PERHAPS),
        Field("source", "file", "Python file whose first def is the method", "file",
              required=True),
        _EXAMPLES, IF_SERIAL),
        reply="target selector status version:count sha256:sha source",
        note="Without `selector` it is the first function; `source` has the covenant line.",
        examples=('genesis_obj treble.py --example "2 gives 6"',), seconds=60, scope="teach"),
    Verb("find", "find methods by what they do: learned ones, and those of the library", (
        Field("text", "words", "what it should do, in words", "wish+", required=True,
              most=MAX_TEXT),
        Field("limit", "whole", "at most so many", "--limit", 5, least=1, most=50)),
        reply="skills:[object selector wish signature status:verified|provisional|taught|shipped "
              "similarity:cosine]",
        note="Best first. Facts that were remembered are looked at with `kind` `fact` only.",
        examples=('"double a number"',), access="past", seconds=60),
    Verb("approve", "approve a waiting or provisional method; an example proves it", (
        replace(_TARGET, help="name or oid; none lists what waits", word="object?"),
        replace(_SELECTOR, word="selector?"),
        _EXAMPLES,
        Field("no", "flag", "turn down what waits", "--no")),
        reply="waiting?:list target? selector? version?:count status?",
        note="Without `selector` only `waiting`, what waits for a yes.",
        examples=("", 'genesis_obj double --example "4 gives 8"', "genesis_obj double --no"),
        seconds=60, scope="teach"),
    Verb("export", "write an object or method as JSON, or with --all everything of yours", (
        replace(_TARGET, help="an object, or one method", word="what?", shown="OBJECT[.SELECTOR]"),
        _PERHAPS,
        Field("file", "text", "new file; - (the default) prints it", "file?", "-", place="client"),
        Field("all", "text", "write all that you put in to a new folder, in open formats",
              "--all", place="client", shown="FOLDER")),
        reply="name sha256:sha text",
        prints="name? sha256?:sha text? file? folder? counts?:map left?:texts",
        examples=("robot_obj robot.json", "genesis_obj.double", "--all ~/from-batos"),
        access="past", seconds=LONG),
    Verb("export.all", "write all that a person put in to a new folder, in open formats", (
        Field("folder", "path", "a new folder", required=True),),
        reply="folder counts:map left:texts",
        note="`counts`: by kind; `left`: what stayed behind, and why.",
        on="wire", seconds=LONG, in_steps=True),
    Verb("import", "install what was exported", (
        Field("text", "file", "what export wrote", "file?", required=True),
        Field("all", "text", "import what export --all wrote; what is here already stays",
              "--all", place="client", shown="FOLDER"),
        Field("as", "text", "name for the object", "--as", shown="NAME"),
        replace(_TARGET, help="object for a single method", word="--into", required=False)),
        reply=_IMPORTED,
        prints="object? new?:flag methods?:[selector version:count status sha256] folder? "
               "carried?:map left?:texts",
        examples=("robot.json --as second_robot_obj", "double.json --into genesis_obj",
                  "--all ~/from-batos"),
        seconds=LONG, scope="teach"),
    Verb("import.all", "import what export.all wrote; what is here already stays", (
        Field("folder", "path", "that it wrote", required=True),),
        reply="folder carried:map left:texts",
        note="Before it, an `event` with `text` now and then. `carried`: how many, by kind; "
             "`left`: what could not be carried, and why.",
        on="wire", seconds=LONG, in_steps=True),
    Verb("cherry-pick", "take a method over from another image", (
        Field("mind", "text", "home of another image, or name of a fork of this one", "mind"),
        Field("what", "text", "the method there", "what", shown="OBJECT.SELECTOR"),
        Field("into", "text", "object here (default: of the same name)", "--into")),
        reply=_IMPORTED,
        examples=("trial genesis_obj.double", "/home/ann/data robot_obj.wave --into genesis_obj"),
        on="command line"),
    Verb("rehearse", "try a message on a throw-away fork, and show what it would change", (
        *_MESSAGE,
        replace(_WISH, word="--text"),
        _EXAMPLES,
        *(_BRIEF[2], replace(_BRIEF[3], word=""), replace(_FRESH, word="")),
        Field("keep", "flag", "then install what was learned and send it here", "--keep")),
        reply="answer:{type:any body:any} diff:{from:any to:any transactions:any} seconds:num "
              "source kept:map",
        note="Before it, an `event` per state.",
        examples=("genesis_obj double 21",), seconds=LONG, scope="learn", in_steps=True),
)
HISTORY_VERBS: Final = (
    Verb("why", "say where a method or an adapter comes from, and what became of it", (
        _TARGET, replace(_SELECTOR, word="selector?", required=False), _VERSION,
        Field("replay", "flag", "draw it again from its prompt and seed, and compare", "--replay",
              place="client")),
        reply="object selector? version?:count versions?:count current?:flag status pinned?:count "
              "tainted?:map waiting?:count source? sha256?:sha whole?:flag origin?:map "
              "drawn?:{prompts:[messages:list prefill] batch:list place:count "
              "sampling:{temperature:num top_p:num top_k:count max_tokens:count seed:count stop} "
              "slots:list selectors:list} brief?:{target selector args:list kwargs:map text "
              "examples:list fresh:flag} mission?:{id accepted:num seconds:num model_calls:count "
              "tokens:count rounds:count} candidates?:list examples?:list passages?:list "
              "approval?:{at:num by examples:list} uses?:{count:count first:num last:num "
              "versions:map callers:map} through?:list moves?:list faults?:list failing?:map "
              "changes?:list grade?:{grade why} "
              "grants?:[object what state:live|ended used:{count:count last:num}] "
              "taught?:list learned_from?:list stale_by?:list run?:count",
        note="`grants`: of the objects that it names. `grade`: gold, silver or none (docs/"
             "self-improvement.md). `through`: the minds that it came through; "
             "its origin is then what they said. `taught`: adapters "
             "that learned from it. Without a selector, of an adapter of the forge: what it "
             "`learned_from`, and `stale_by`, what of that counts no more.",
        examples=("genesis_obj double", "forge-1"), access="past", seconds=MINUTES),
    Verb("replay", "draw a version again from its prompt, seed and sampling, and compare", (
        *_METHOD, _VERSION),
        reply="target selector version:count same:flag sha256:sha replayed:sha source diff model "
              "seconds:num",
        note="`same`: byte for byte; `replayed`: the SHA-256 now; `diff`: from what is kept.",
        on="wire", access="past", seconds=MINUTES, scope="teach"),
    Verb("versions", "list the versions of a method", _METHOD,
        reply=_VERSIONS,
        examples=("genesis_obj double",), access="past", seconds=MINUTES),
    Verb("history", "list how an object's methods came about, version by version", (
        _TARGET,
        replace(_SELECTOR, help="one message (default: all)", word="selector?")),
        reply=f"object methods:[{_VERSIONS}]",
        examples=("genesis_obj", "genesis_obj double"), on="command line", access="reads"),
    Verb("diff-method", "compare two versions of a method", (
        *_METHOD,
        Field("a", "whole", "number of a version", "a", 0, least=0, shown="A"),
        Field("b", "whole", "number of another one", "b", 0, least=0, shown="B")),
        reply="selector same:flag diff",
        examples=("genesis_obj double 1 2",), access="past", seconds=MINUTES),
    Verb("relearn", "have a method written anew; it has to reproduce all kept examples", (
        *(*_METHOD, replace(_EXAMPLES, help="what it has to answer, too")),
        replace(_ARGS, help="to try it with (default: those of its brief)"),
        Field("wish", "text", "what it should do, if other words are better", "--wish")),
        reply=RESULT,
        examples=('genesis_obj double --example "4 gives 8"',), on="command line", seconds=MINUTES),
    Verb("unlearn", "remove a learned method (redo brings it back)", (
        *_METHOD, IF_SERIAL),
        reply=f"{_MOVED} {_NAMES} effects:count adapters:texts",
        note="`effects`: how many that it had wanted were done outside of the image. They stay. "
             "`adapters`: those that learned from it.",
        examples=("genesis_obj double",), seconds=MINUTES, scope="teach"),
    Verb("redo", "bring back an unlearned method, or go to another version", (
        *_METHOD, _VERSION),
        reply=f"{_MOVED} sha256:sha {_NAMES}",
        examples=("genesis_obj double",), seconds=MINUTES, scope="teach"),
    Verb("pin", "hold a method at a version", (
        *_METHOD, _VERSION),
        reply=f"{_MOVED} sha256:sha",
        examples=("genesis_obj double",), seconds=MINUTES, scope="teach"),
    Verb("unpin", "let a method take new versions again", _METHOD,
        reply=_MOVED,
        examples=("genesis_obj double",), seconds=MINUTES, scope="teach"),
    Verb("verify-method", "run a method's examples again, and clear its taint", (
        *_METHOD,
        replace(_EXAMPLES, help="what it has to answer, too")),
        reply=f"{_MOVED} examples:count tainted:map",
        note="`examples`: how many ran.",
        examples=("genesis_obj double",), seconds=MINUTES, scope="teach"),
    Verb("recall", "list or withdraw all methods of one origin", (
        Field("model", "text", "written by this model", "--model", shown="NAME|DIGEST",
              group="origin"),
        Field("adapter", "text", "written with this adapter", "--adapter", shown="NAME",
              group="origin"),
        Field("document", "text", "whose writer was shown this document", "--document",
              shown="DOC_ID", group="origin"),
        Field("mission", "text", "written in this mission", "--mission", shown="ID",
              group="origin"),
        Field("undo", "text", "bring back what a recall withdrew", "--undo", shown="RECALL",
              group="origin"),
        Field("yes", "flag", "withdraw them; else they are listed", "--yes")),
        reply="methods:list withdrawn:flag recall",
        note="With `undo`: `back`, `left`, `recall`; with nothing: `recalls`, `tainted`.",
        examples=("--model SmolLM2-135M-Instruct",), seconds=MINUTES, scope="own"),
    Verb("diff", "say what changed between two moments, or what two minds differ in", (
        Field("a", "moment", f"{WHEN}; of two minds, that of the first (default: now)", "a?",
              required=True, usual="", shown="A"),
        Field("b", "moment", "the same", "b?", "now", shown="B"),
        Field("other", "text", "compare with another mind, a home or the name of a fork; or give "
              "--home twice. Both are only read, also while they run", "--with", place="client",
              shown="HOME|FORK")),
        reply="from to transactions:[id at:num note] objects:[object what was? parents?:list "
              "slots?:[slot before after]] methods:list documents:list",
        prints="from? to? transactions?:[id at:num note] minds?:[id name transaction home] "
               "objects:[object what slots?:[slot before after]] methods:list memory?:list "
               "documents:list more?:count",
        examples=('"1 hour ago" now', "--with trial", "--home ~/mind --home /home/ann/data",
                  '"1 day ago" now --with trial'),
        access="reads", seconds=600),
    Verb("bisect", "find the transaction that changed an answer", (
        *_MESSAGE,
        Field("good", "moment", f"answered well: {WHEN}", "--good", required=True, shown="A"),
        Field("bad", "moment", "later, not so", "--bad", "now", shown="B")),
        reply="transaction time:num note mission before:{error? message?} after:{error? message?} "
              "transactions:count openings:count",
        note="Before it, an `event` with `text` per opening.",
        examples=('genesis_obj double 21 --good "2 hours ago"',), access="reads", seconds=600,
        scope="teach"),
)
# fmt: on
