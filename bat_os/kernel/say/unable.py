"""The end of the road: no skill fits. A mission if a function could answer it, else what is missing.

A mission takes minutes and ends in a guess, so it begins only for a wish that a function of the
values in the sentence could answer. For anything else a person hears within a second what is
missing, what comes near, and how to teach it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bat_os.core.answer import Answer
from bat_os.kernel.say.recall import recall_documents, recall_facts
from bat_os.sentence.texts import text
from bat_os.sentence.triage import classify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.lessons import Lessons
    from bat_os.kernel.say.room import Heard

NEAREST: Final = 3
# What a person could give: the answer asks for it.
CURABLE: Final[Mapping[str, str]] = {"files": "grant", "device": "grant", "world": "grant"}


async def unable(mind: KernelContext, heard: Heard, lessons: Lessons) -> Answer:
    """Answer a sentence that no skill fits."""
    vector = (await mind.catalog.embed([heard.sentence.masked]))[0]
    kinds = classify(heard.sentence, vector)
    kind = max(kinds, key=lambda name: kinds[name])
    if heard.request.body["fresh"] or kind == "function":
        return await lessons.learn(
            heard.request, heard.sentence.text, heard.language, heard.say,
            ordered=bool(heard.request.body["fresh"]),
        )  # fmt: skip
    if answer := await recall_facts(mind, heard.sentence, now=heard.now):
        return answer
    if answer := await recall_documents(mind, heard.sentence):
        return answer
    near = [each.reading for each in heard.found][:NEAREST]
    needs = CURABLE.get(kind, "")
    return Answer(
        "asked" if needs else "unable", text(heard.language, f"unable.{kind}"),
        needs=needs, choices=() if needs else tuple(near), language=heard.language,
    )  # fmt: skip
