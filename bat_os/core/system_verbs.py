"""The table of verbs, continued: knowledge, missions, the image as a whole, models, the system."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bat_os.core.fields import MAX_TEXT, Field, Verb
from bat_os.core.scopes import SCOPES

MINUTES: Final = 120.0  # examples run in the cell, and the embedder may have to be loaded
KEY: Final = Field("ik", "text", "idempotency key", place="envelope")
LONG: Final = 3600.0  # seconds; for verbs that read whole folders or fetch models
_MODEL: Final = Field("name", "text", "name of the model in the image", required=True)
_MODELS: Final = (
    "profile models:[name state? abilities?:list] exam?:map unused:texts budget:count used:count "
    "lost:count waiting:count"
)
_PROFILES: Final = (
    "profiles?:[name ok:flag reasons:texts purpose models:texts conditions:texts] best? "
    "offers?:[key name where download:count memory:count speed:num licence profile exact:flag] "
    "chosen? restarted?:flag overruled?"
)
_HELLO: Final = "version protocol:list boot image_id limits:map"
RESULT: Final = (
    "result:any printed status:verified|provisional|taught|shipped|primitive|slot|tools|said "
    "learned:flag model_calls:count tokens:count target selector args:list kwargs:map seconds:num "
    "brief_id? effects?:list why? steps?:texts label?:texts "
    "reused?:{holder:any selector:any wish:any similarity:any}"
)
_WHERE: Final = Field(
    "filters", "map", "documents with this meta data only, as format=pdf", "--where",
    shown="KEY=VALUE",
)  # fmt: skip

STATES: Final = ("running", "waiting", "idle", "decomposing", "delegating", "synthesizing",
                 "acting", "validating", "complete", "failed")  # fmt: skip
_BRIEF_ID: Final = Field("brief_id", "text", "else the one of `ik`")
_AFTER_SEQ: Final = Field("after_seq", "whole", "events after this number", least=0)

_OF: Final = Field("target", "text", "name or oid", "object", place="envelope", required=True)
_NAME: Final = Field("name", "text", "of the object from now on", "name", required=True)
_FAMILY: Final = "object oid:oid parents:texts line:texts transaction"
_CHANGE: Final = (
    Field("action", "text", "set, undo or redo an entry; else it is shown", "action?",
          place="client", shown="ACTION"),
)  # fmt: skip
_ENTRY: Final = (
    Field("key", "text", "the entry", "key?", place="client"),
    Field("value", "words", "its value; a list, a map or a number as JSON", "value*",
          place="client", shown="VALUE"),
)  # fmt: skip
_ENTRIES: Final = (
    "target? entries?:[key value:any default:any version:count takes about versions:list]"
)

# fmt: off
FAMILY_VERBS: Final = (
    Verb("derive", "make a new object whose parent is this one", (
        _OF, replace(_NAME, help="of the new object")),
        reply=_FAMILY,
        note="`line`: where lookup goes, from the object on. `transaction` is what `undo` takes.",
        examples=("vehicle_obj car_obj",), scope="teach"),
    Verb("parents", "show the parents of an object, or set them", (
        _OF,
        Field("parents", "list", "names or oids, in the order of lookup; none shows them",
              "parents*", shown="PARENT"),
        Field("add", "flag", "add them behind those that there are", "--add", group="how"),
        Field("remove", "flag", "remove them", "--remove", group="how")),
        reply=_FAMILY,
        note="As `derive`; `transaction` is empty where nothing changed.",
        examples=("car_obj", "car_obj vehicle_obj traits_obj", "car_obj robot_obj --add"),
        scope="teach"),
    Verb("rename", "give an object another name", (_OF, _NAME),
        reply=_FAMILY,
        note="As `derive`.",
        examples=("car_obj sports_car_obj",), scope="teach"),
    Verb("delete", "delete an object; refused while something refers to it", (
        _OF,
        Field("force", "flag", "slots that held it hold nothing, children get its parents",
              "--force")),
        reply="object oid:oid referrers:texts transaction",
        note="`referrers`: what referred to it and now does not. A refusal names them in "
             "`details`.",
        examples=("car_obj", "vehicle_obj --force"), scope="own"),
    Verb("undo", "take back what one transaction changed in objects", (
        Field("transaction", "text", "its id, as derive, delete and diff name it", "transaction",
              required=True),),
        reply="objects:texts transaction outside:texts left:texts",
        note="Slots, parents, names; a new object that has a name is deleted. Methods stay: "
             "`unlearn`, `redo`. Undone again, it is done. `outside`: effects that are taken back, "
             "too; `left`: those that cannot be.",
        examples=("03f1a2b3c4d5e6f7",), seconds=60, scope="person"),
)
KNOWLEDGE_VERBS: Final = (
    Verb("learn", "store documents in the knowledge catalog", (
        Field("title", "text", required=True),
        Field("text", "text", required=True),
        Field("source", "text", "path or address"),
        Field("files", "list", "files or folders: text, Markdown, HTML, PDF, source; - for stdin",
              "files+", place="client"),
        Field("meta", "map", "to keep with each document", "--meta",
              shown="KEY=VALUE"),
        Field("watch", "flag", "let the daemon read them, and again whenever they change",
              "--watch", place="client")),
        reply="doc_id passages:count changed:flag",
        prints="learned:[title doc_id passages:count changed:flag] skipped:[path:any reason:any "
               "count:any] watched?:[path number:count granted] exit_status:count",
        note="Before it, an `event` with `text` now and then.", in_steps=True,
        examples=("notes.md", "~/papers", "~/notes --watch", "-"), seconds=LONG, scope="teach"),
    Verb("search", "search the knowledge catalog", (
        Field("text", "words", "a question, or words", "words+", required=True, most=MAX_TEXT),
        Field("limit", "whole", "at most so many", "--limit", 5, least=1, most=100),
        Field("kind", "text", "look at these only", "--kind",
              choices=("document", "method", "codex", "seed", "fact")),
        _WHERE),
        reply="passages:[doc_id title kind:document|method|codex|seed|fact text "
              "similarity:cosine position:count]",
        note="Best first. `position`: which passage of its document, from 0.",
        examples=('"who hangs upside down?"', "bats --kind document --limit 3"), access="past",
        seconds=60),
    Verb("documents", "list the documents of the catalog", (
        _WHERE,),
        reply="documents:[doc_id title kind passages:count meta:map]",
        examples=("",), access="past", seconds=60),
    Verb("forget", "take a document out again", (
        Field("doc_id", "text", required=True),
        Field("back", "text", "`transaction` of a `forget`, to have the document back", most=16),
        Field("document", "text",
              "an id, as batos documents lists it; or the file or folder it came from", "document",
              place="client")),
        reply="doc_id forgotten:flag transaction?",
        prints="forgotten:texts",
        examples=("notes.md",), seconds=60, scope="person"),
    Verb("reindex", "make all vectors anew, after a change of the embedding model",
        reply="documents:count",
        note="Before it, an `event` with `text` now and then.",
        examples=("",), seconds=LONG, scope="teach", in_steps=True),
    Verb("discuss", "have ROBIN and BRICK answer a question, from what was learned", (
        Field("text", "words", "a question, in words", "question+", required=True, most=1000),
        Field("seed", "whole", "another one gives another answer", "--seed", 0, least=0,
              most=1 << 31),
        Field("persona_id", "text", "who answers first", "--persona", most=200)),
        reply="talk question seed:count answers:[persona text cites:list model tokens:count "
              "tries:count] passages:[n:any doc_id:any title:any kind:any text:any similarity:any "
              "cited:any] grounded:flag note tokens:count asked:num seconds:num",
        note="Before it, an `event` with `persona`, `text` per piece (with `again`: that persona "
             "begins anew). `text` has marks `[n]`",
        examples=('"should we learn French?"',), aliases=("ask",), seconds=LONG, scope="send"),
    Verb("talks", "list what was asked and answered", (
        Field("limit", "whole", "how many", "-n --limit", 10, least=1, most=50),),
        reply="talks:list",
        note="What `discuss` answered, newest first.",
        examples=("",), access="reads"),
    Verb("personas", "list the personas, or change what one is and thinks with", (
        *_CHANGE,
        Field("name", "text", "a persona, or a facet of one: brick:tamland", "persona?",
              place="client"),
        *_ENTRY),
        reply="profile personas:[name role model adapter writing temperature:num system_prompt "
              "set:texts]",
        prints="profile? personas?:[name role model adapter writing temperature:num system_prompt "
               f"set:texts] {_ENTRIES}",
        note="`set`: the entries that a person has set; facets come behind their persona.",
        examples=("", "brick", "set brick temperature 0.4", 'set brick voice "You are brief."',
                  "set brick:tamland adapter tamland", "undo brick temperature"),
        access="reads", seconds=60),
    Verb("states", "list how the states of a mission work, or change that", (
        *_CHANGE,
        Field("name", "text", "a state, such as synthesizing", "state?", place="client"),
        *_ENTRY),
        reply="states:[name step set:texts]",
        prints=f"states?:[name step set:texts] {_ENTRIES}",
        examples=("", "synthesizing", 'set synthesizing advice "Prefer short names."',
                  "undo synthesizing advice"),
        access="reads", seconds=60),
    Verb("entry", "show or change an entry of a persona or state", (
        Field("target", "text", "brick_obj, state_synthesizing_obj", place="envelope",
              required=True),
        Field("key", "text", "of the entry; a part of a map behind a dot: `codex.voice`"),
        Field("value", "any", "with `set`; null takes a part of a map out"),
        Field("do", "text", "what to do; without it nothing changes",
              choices=("", "set", "undo", "redo"))),
        reply="target entries:[key value:any default:any version:count takes about versions:list]",
        note="Without `key` all entries.",
        on="wire", seconds=60, scope="teach"),
)
MISSION_VERBS: Final = (
    Verb("missions", "list missions, the newest first; have one go on", (
        Field("action", "text", "resume ID: go on in the state in which it failed, with all that "
              "was drawn; once, always or no ID: answer what it asks leave for", "action?",
              place="client", shown="ACTION", choices=("", "resume", "once", "always", "no")),
        Field("id", "text", "of the mission", "id?", place="client", shown="ID"),
        Field("what", "text", "once, always: what may be reached, if not what it asks for",
              "--what", place="client"),
        Field("more", "flag", "resume: as many batches as before may be drawn in addition",
              "--more", place="client"),
        Field("limit", "whole", "how many", "-n --limit", 50, usual=20, least=1, most=200),
        Field("state", "text", "only these: running, complete, failed, ...", "--state",
              choices=("", *STATES), shown="STATE"),
        Field("before", "text", "the page after this mission")),
        reply="missions:[brief_id state seq:count target selector accepted:num attempts:count "
              "problem label?:texts waits? whole?] before",
        prints="missions?:[brief_id state seq:count target selector accepted:num attempts:count "
               "problem label?:texts waits? whole?] before? result?:any printed? status? "
               "learned?:flag model_calls?:count tokens?:count target? selector? args?:list "
               "kwargs?:map seconds?:num brief_id? why? label?:texts refused?:flag",
        note='`before`, for the next page, or "". `waits` is `leave` of one that goes on '
             'after a yes, and `whole` all that the yes is to, if `problem` cuts it.',
        examples=("", "--state failed", "resume 01a1ff61d73cd6d845301288 --more",
                  "once 01a1ff61d73cd6d845301288"),
        access="reads"),
    Verb("missions.leave", "answer what a mission asks leave for; it then goes on", (
        KEY, _BRIEF_ID,
        Field("way", "text", "for this mission alone, from now on, or not", required=True,
              choices=("once", "always", "no")),
        Field("what", "text", "the scope, if it is not the one that it asks for")),
        reply="refused?:flag brief_id? result?:any printed? status? learned?:flag "
              "model_calls?:count tokens?:count target? selector? args?:list kwargs?:map "
              "seconds?:num why? label?:texts",
        note="A mission that ended in `GRANT_WANTED` waits for it. With `no`, `refused` and "
             "`brief_id` alone; the same is not asked again for 30 days.",
        on="wire", scope="person"),
    Verb("missions.resume", "have a mission go on that failed", (
        KEY, _BRIEF_ID,
        Field("more", "flag", "as many batches as before may be drawn in addition")),
        reply=RESULT,
        note="From the state in which it failed, with all that was drawn; an `event` per state. "
             "Refused: one that did not fail, and without `more` one whose batches are used up.",
        on="wire", scope="learn"),
    Verb("brief.get", "tell of one mission", (
        KEY, _BRIEF_ID, _AFTER_SEQ),
        reply="brief_id state seq:count target selector accepted:num attempts:count "
              "model_calls:count tokens:count answer:optional-map events?:list "
              "acted?:[step gave? error? seconds:num] budget?:map",
        note='`answer`: null, or `{"type", "body"}` of the last reply; `events` with `after_seq` '
             "only, as is what one that takes steps did, what that gave, and what it may spend.",
        on="wire", access="reads"),
    Verb("cancel", "withdraw a mission", (
        KEY,
        replace(_BRIEF_ID, help="its id; batos missions lists them", word="brief")),
        reply="cancelled:flag state?:text ended?:num",
        note="It was running; its asker gets `CANCELLED`. If it was not, `state` and `ended` say "
             "how and when it ended.",
        examples=("01a1ff61d73cd6d845301288",), scope="learn"),
    Verb("subscribe", "send events of missions until they end", (
        *(KEY, _BRIEF_ID, replace(_AFTER_SEQ, default=0)),
        Field("after", "whole", "of all missions: events after this number", least=0),
        Field("about", "text", "what is committed instead, as `changes`",
              choices=("missions", "changes"), default="missions")),
        reply="ended n:count",
        note="Before it, an `event` per state, or per commit (`id`, `note`, `mission`, `by`, "
             "`names` of objects, `selectors` of methods; neither, of a fact, a schedule or a "
             "document). `ended`: why.",
        on="wire", access="reads", scope="stream"),
    Verb("unsubscribe", "end a subscription of this session", (
        Field("id", "text", "of the subscription", required=True),),
        reply="unsubscribed:flag",
        on="wire", access="reads", scope="stream"),
    Verb("watch", "show what missions do, until Ctrl-C", (
        Field("brief", "text", "one brief (default: all)", "brief?"),),
        reply="ended n?:count",
        examples=("",), on="command line", access="reads"),
)
SYSTEM_VERBS: Final = (
    Verb("backup", "back the image up, while it serves", (
        Field("folder", "path", "a folder of its own; made if it is not there", "folder",
              required=True),
        Field("verify", "flag", "only read it all again; no kernel", "--verify", place="client"),
        Field("full", "flag", "write everything again", "--full"),
        Field("copy", "flag", "copy models even on the same disk, where a second name would do",
              "--copy")),
        reply="folder tid size:count blobs:count added:count full:flag damaged:list seconds:num",
        prints="folder tid size:count blobs?:count added?:count full?:flag damaged:list "
               "seconds?:num files?:count made?:num image_id? reason? exit_status:count",
        note="`damaged`: the SHA-256 of stored files that the image refers to and that are missing "
             "or not what came in, and `record` with the id of an object whose record has a "
             "damaged head; with any, the exit status is 1.",
        examples=("/safe/place", "/safe/place --verify"), seconds=LONG, in_steps=True),
    Verb("restore", "make a home of a backup or archive", (
        Field("backup", "path", "folder of a backup, or file of an archive", "backup"),
        Field("target", "path", "the home to make", "target", shown="home"),
        Field("replace", "flag", "put it in place of a home; the old one is kept beside it",
              "--replace")),
        reply="home tid size:count kept objects:map damaged:list reason exit_status:count",
        note="`damaged` as in `backup`.",
        examples=("/safe/place ~/second-mind",), on="command line"),
    Verb("archive", "keep the whole image as one file", (
        Field("file", "path", "must not be there yet", "file", required=True, shown="FILE.tar.gz"),
        Field("reason", "text", "why; goes into the chronicle", "--reason", required=True)),
        reply="kind at:num file reason sha256:sha size:count holds:count tid damaged:list",
        prints="kind at:num file reason sha256:sha size:count holds:count tid damaged:list "
               "exit_status:count",
        note="It is the chronicle's entry; `damaged` as in `backup`.", in_steps=True,
        examples=('/safe/mind-2026.tar.gz --reason "before the big change"',), seconds=LONG),
    Verb("chronicle", "list archives, backups, forks and packs",
        reply="chronicle:[kind at:num]",
        note="Oldest first.",
        examples=("",), access="reads", seconds=LONG),
    Verb("fork", "make another image with the same past", (
        Field("name", "text", "letters, digits, _ and -", "name", required=True),
        Field("at", "moment", "as the image was: '2 hours ago'", "--at", shown="WHEN"),
        Field("drop", "flag", "remove the fork and all it learned", "--drop", place="client")),
        reply="name home tid image_id seconds:num", in_steps=True,
        examples=("trial", 'yesterday --at "1 day ago"', "trial --drop"), seconds=LONG),
    Verb("fork.drop", "remove a fork and all it learned", (
        Field("name", "text", "of the fork", required=True),),
        reply="name dropped:flag", in_steps=True,
        on="wire"),
    Verb("forks", "list the forks",
        reply="forks:list",
        note="Of each `name`, `home`, `tid`, `made`, `running`, `bytes`.",
        examples=("",), access="reads", seconds=LONG),
    Verb("pack", "give back the room of old history", (
        Field("days", "number", "history to keep (default: 30)", "--days"),
        Field("policy", "map",
              "pack nothing now; set when the kernel does it unasked: `auto`, `days`, `floor`"),
        Field("auto", "text",
              "pack nothing now, but say whether the kernel does it when the file has grown",
              "--auto", choices=("on", "off"), place="client")),
        reply="kind at:num days:num before:count after:count blobs:count seconds:num",
        note="With `policy`, the whole `policy`.",
        examples=("--days 7",), seconds=LONG, in_steps=True),
    Verb("space", "say what takes the room",
        reply="file:count kinds:map",
        note="Also `history`, `blobs`, `frozen`, `forks`, `free`, `policy`.",
        examples=("",), access="reads", seconds=LONG),
    Verb("erase", "remove words for good, from the image, its history and its logs", (
        Field("words", "words", "the words; without --yes it is only listed where they stand",
              "words*", most=20_000),
        Field("id", "text", "all text of a document, fact, object or slot instead", "--id",
              shown="ID|OBJECT.SLOT", most=1000),
        Field("yes", "flag", "remove them; cannot be undone", "--yes")),
        reply="erased:flag places:[kind what fate] more:count past:{records:count since:num} "
              "files:texts elsewhere:[what remove] left:texts",
        note="`elsewhere`: forks and copies that hold them, or may, and are not touched.",
        examples=('"my sister\'s birthday"', '"my sister\'s birthday" --yes',
                  "--id robot_obj.note --yes"),
        seconds=LONG, scope="person", in_steps=True),
    Verb("verify", "compare all that is stored with its SHA-256; status 1: damaged",
        reply="checked:map damaged:list quarantined:list",
        prints="checked:map damaged:list quarantined:list exit_status:count",
        note="An `event` with `text` now and then. `checked`: kind and how many; of what is "
             "damaged `kind`, `key`, `what`, `why`, `advice`.",
        examples=("",), seconds=LONG, scope="own", in_steps=True),
    Verb("models", "list the models, or change which there are", (
        Field("action", "text",
              "choose [NAME]: what the personas think with; fit: which profiles suit this "
              "machine; add NAME SOURCE; remove, pin, unpin NAME; exam NAME: measure what it can "
              "do; cancel NAME: end that",
              "action?", place="client", shown="ACTION",
              choices=("", "choose", "fit", "add", "remove", "pin", "unpin", "exam", "cancel")),
        replace(_MODEL, word="name?", required=False, place="client"),
        Field("source", "text", "folder, GGUF file, hub id (owner/name), package:NAME, "
              "or at:WHEN, what it was then", "source?",
              place="client")),
        reply=_MODELS,
        prints="profile? name? models?:[name state? abilities?:list] exam?:map unused?:texts "
               f"budget?:count used?:count lost?:count waiting?:count {_PROFILES}",
        note="`models`: what is stored, where each is, its size and use; `unused`: how to free the "
             "space of what the profile does not use; `gpu` has the same figures, if there is one.",
        examples=("", "choose", "choose cpu", "fit", "add Qwen2.5-0.5B ~/models/qwen",
                  "pin SmolLM2-135M-Instruct-Q4_1"),
        access="past", seconds=60),
    Verb("models.add", "store a model in the image", (
        _MODEL,
        Field("source", "text", "folder, GGUF file, hub id, `package:NAME`, `at:WHEN`")),
        note="An `event` with `text` per step; the answer is what is known of the model.",
        on="wire", in_steps=True),
    Verb("models.exam", "measure what a model can do, again if need be", (
        _MODEL,),
        reply="exam:map",
        note="It runs in the background and gives way to everything else; `models` shows how far "
             "it has come, and the figures. `failed` in `exam`: model and why it has none.",
        on="wire", scope="own", in_steps=True),
    Verb("models.cancel", "end an intake that this session began, or an exam", (
        _MODEL,
        Field("what", "text", "`exam`: its exam, else the intake", choices=("", "exam"))),
        reply="cancelled:flag",
        note="Who asked for the intake gets `CANCELLED`. No half model is there, and what was "
             "fetched for it is removed.",
        on="wire", scope="own"),
    Verb("models.remove", "remove a model and its adapters", (
        _MODEL,),
        reply="name files:count bytes:count adapters:texts",
        on="wire"),
    Verb("models.pin", "keep a model in memory", (
        _MODEL,),
        note="As `models`.",
        on="wire", scope="own"),
    Verb("models.unpin", "let a model leave memory", (
        _MODEL,),
        note="As `models`.",
        on="wire", scope="own"),
    Verb("hello", "say who serves here",
        reply=_HELLO,
        note="`protocol`: lowest and highest version.",
        on="wire", access="reads"),
    Verb("ping", "say that the kernel is there",
        reply="boot",
        note="The last reply is a `pong`.",
        on="wire", access="reads"),
    Verb("health", "say how the kernel is",
        reply=f"ready:flag awakening loading problem {_HELLO} pid:count uptime:num endpoints:texts "
              "closed_doors:list lost:texts queued:count less events_lost:count image:map profile "
              "cluster:map "
              "models:{budget:any used:any models:any} cell:map servers:[name state said]",
        note="`loading`: what loads ahead of the next request. `events_lost`: from the journal.",
        on="wire", access="reads"),
    Verb("shutdown", "let the kernel go down", (
        Field("restart", "flag", "then its watchdog starts it anew"),),
        reply="stopping:flag",
        on="wire"),
    Verb("status", "say what runs; exit status 0 when something does, 3 when not",
        reply="running:flag watchdog:optional-map kernel:optional-map setup:map trouble home "
              "log http http_problem exit_status:count",
        examples=("", "--json"), hidden=("health",), on="command line", access="reads"),
    Verb("setup", "say what is installed; install the rest now, later or never", (
        Field("all", "flag", "install the rest now, in this terminal", "--all", group="when"),
        Field("later", "flag", "stop installing it in the background, until --all", "--later",
              group="when"),
        Field("lean", "flag", "leave it out until --all, in each home of this checkout", "--lean",
              group="when")),
        reply="state:complete|waiting|installing|stopped|lean|absent reason step size log",
        examples=("", "--all", "--later"), on="command line", needs_home=False),
    Verb("stop", "stop the kernel and its watchdog",
        reply="stopped:flag was exit_status:count",
        examples=("",), hidden=("shutdown",), on="command line"),
    Verb("doctor", "look at everything and say what to do; works without a kernel", (
        Field("quick", "flag", "leave out what takes seconds: device and cell", "--quick"),),
        reply="checks:[name state:ok|warning|broken found advice] ok:flag exit_status:count",
        examples=("", "--quick --json"), on="command line", access="reads", needs_home=False),
    Verb("logs", "show the end of the kernel's log", (
        Field("lines", "whole", "how many", "-n --lines", 40, least=1, most=100000),
        Field("events", "flag", "the journal of thought, not the kernel's log", "--events"),
        Field("follow", "flag", "go on until Ctrl-C", "-f --follow")),
        reply="log lines?:texts events?:list",
        examples=("--follow", "--events -n 10"), on="command line", access="reads"),
    Verb("config", "show the settings and where each comes from; works without a kernel", (
        Field("action", "text",
              "show: what counts, and where it comes from (the default); "
              "example: print a file to start from", "action?", "show",
              choices=("show", "example"), shown="ACTION"),),
        reply="file? exists?:flag settings?:[name value:any origin allowed] example?",
        examples=("show", "example"), on="command line", access="reads", needs_home=False),
    Verb("completion", "print the script that makes TAB work in a shell", (
        Field("shell", "text", "bash, zsh, fish, powershell", "shell", shown="SHELL",
              choices=("bash", "zsh", "fish", "powershell")),),
        reply="shell:bash|zsh|fish|powershell script",
        examples=("bash",), on="command line", access="reads", needs_home=False),
    Verb("keys", "say who may come in from other machines, and by HTTP", (
        Field("do", "text",
              "make a key for a client of another machine; make a token for HTTP; list who may "
              "come in; allow a public key; revoke a key or token", "do",
              choices=("make", "token", "list", "allow", "revoke"), shown="ACTION"),
        Field("name", "text", "of the key or token", "name?"),
        Field("key", "text", "allow: a public key made elsewhere", "key?"),
        Field("connect", "text", "make: the kernel's address", "--connect", shown="tcp://HOST:PORT"),
        Field("server", "text", "make: public key of a kernel elsewhere", "--server", shown="KEY"),
        Field("may", "text", "token: what it is good for, each with those before it", "--may",
              "send", choices=SCOPES, shown="SCOPE"),
        Field("days", "number", "token: how long it is good", "--days", 90, least=0, most=3650)),
        reply="server? allowed?:any tokens?:map token? name? may? days?:num",
        examples=("make ann --connect tcp://192.168.1.5:5556", "token phone --may learn --days 30",
                  "list", "revoke ann"),
        on="command line"),
    Verb("minds", "list the minds that can be asked by name; add or remove one", (
        Field("do", "text", "add the mind of --home, or of --key-file; or take one out", "do?",
              default="list", choices=("list", "add", "remove"), shown="ACTION"),
        Field("name", "text", "of the mind", "name?"),
        Field("connect", "text", "add: where a daemon elsewhere listens, if not as its key says",
              "--connect", shown="tcp://HOST:PORT"),
        Field("key_file", "text", "add: the key to a daemon elsewhere", "--key-file",
              shown="FILE")),
        reply="minds?:list directory? added? where? removed? home?",
        examples=("", "add work --home /srv/work", "remove work"), on="command line",
        needs_home=False),
    Verb("open", "open the page in a browser, and HTTP for other programs", (
        Field("print", "flag", "print the page's address and open no browser", "--print"),
        Field("close", "flag", "close HTTP again, until the next open", "--close")),
        reply="url page? closed?:flag",
        note="The address of the page holds a code that is good once, for a minute.",
        examples=("", "--print", "--close"), on="command line", seconds=60),
    Verb("service", "run the watchdog as a service of this user", (
        Field("action", "text",
              "write the file and start it; undo that; print what would be written", "action",
              choices=("install", "remove", "show")),),
        reply="file text? commands?:texts installed?:flag done? trouble?",
        examples=("show", "install"), on="command line"),
    Verb("upgrade", "replace the program under the image", (
        Field("file", "text", "update_instructions.json; without it, show the last upgrade",
              "file?"),
        Field("dry_run", "flag", "check and explain, change nothing", "--dry-run"),
        Field("sign", "text", "sign FILE with a private key", "--sign", shown="KEY"),
        Field("seal", "flag", "write only the digest into FILE", "--seal"),
        Field("new_key", "text", "make a private key", "--new-key", shown="KEY")),
        reply="file? sha256? signed?:flag key? line? id? from? to? steps?:list dry_run?:flag",
        examples=("--dry-run",), on="command line"),
)
# fmt: on
