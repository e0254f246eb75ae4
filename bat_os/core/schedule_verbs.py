"""The table of verbs, continued: what happens at a time.

Beside the rest because a schedule has the fields of a message, too.
"""

from __future__ import annotations

from typing import Final

from bat_os.core.fields import MAX_TEXT, Field, Verb

_ONE: Final = (
    "number:count kind:remind|timer|alarm|say|send|learn text rule when next:num last:num missed "
    "zone state:live|asleep|running why"
)

SCHEDULE_VERBS: Final = (
    Verb(
        "schedule",
        "have something happen at a time, or when files change",
        (
            Field(
                "when",
                "text",
                "in words, or a cron line of five fields; or what happens to a file or folder",
                "when",
                required=True,
                most=200,
            ),
            Field(
                "what",
                "list",
                "`send OBJECT MESSAGE ARGS`, `say SENTENCE`, `learn`, or the text of a reminder; "
                "{file} as an argument is the file that has changed",
                "what*",
                place="client",
                shown="WHAT",
            ),
            Field("kind", "text", choices=("remind", "say", "send", "learn"), default="remind"),
            Field("text", "text", "of the reminder, or the sentence", most=MAX_TEXT),
            Field(
                "missed",
                "text",
                "what becomes of moments that no daemon ran at: one run for all, "
                "none, or one each, at most 10",
                "--missed",
                "once",
                choices=("once", "skip", "all"),
            ),
            Field(
                "zone",
                "text",
                "time zone (default: the setting `zone`)",
                "--zone",
                most=60,
                shown="Europe/Berlin",
            ),
            Field("target", "text", "of a message", place="envelope"),
            Field("selector", "text", "the message", place="envelope"),
            Field("args", "list", "as those of send", place="envelope"),
            Field("kwargs", "map", "arguments by name", place="envelope"),
        ),
        reply=_ONE,
        note="It runs with what its object was granted, and in this home alone.",
        examples=(
            '"tomorrow at 9" call Ann',
            '"every weekday at 8" say what is on my to-do list',
            '"0 8 * * 1-5" send genesis_obj double 21',
            '"when a PDF appears in ~/inbox"',
            '"when ~/notes changes" learn',
        ),
        scope="teach",
    ),
    Verb(
        "schedules",
        "list reminders, timers and all else that happens at a time",
        (
            Field(
                "wake",
                "flag",
                "have those run that sleep: of a copy of this image, or after three failures",
                "--wake",
            ),
        ),
        reply=f"schedules:[{_ONE}] woken:count",
        note="The next one first.",
        examples=("", "--wake"),
        scope="teach",
    ),
    Verb(
        "unschedule",
        "cancel what happens at a time",
        (
            Field("numbers", "list", "as batos schedules lists them", "number*", shown="NUMBER"),
            Field("all", "flag", "all of them", "--all"),
        ),
        reply=f"cancelled:[{_ONE}] transaction",
        note="`undo` takes it back.",
        examples=("3", "--all"),
        scope="teach",
    ),
    Verb(
        "due",
        "return what was due and was not seen, and note what was seen",
        (
            Field("seen", "list", "the `key` of each"),
            Field("limit", "whole", "at most so many", default=20, least=0, most=200),
        ),
        reply="due:[key number:count kind text line moment:num]",
        note="Who subscribes to all events hears of more by `detail.due`.",
        on="wire",
        scope="send",
    ),
)
