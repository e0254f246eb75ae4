"""Models that sit the exam: scripts that know the answers, or some of them, or none."""

import json

from bat_os.core.brief import goal, parameters
from bat_os.kernel.exam.sitting import read_paper

PAPER = read_paper()
TASKS = {goal(task.to_brief()): task for task in PAPER.tasks}
PAIRS = {(pair.one, pair.other): pair.same for pair in PAPER.pairs}
WISHES = {goal(task): text for text in PAPER.wishes for task in [text.to_brief()]}


def able(prompt, sampling, _index=0):
    """Return the right answer, in the form that was asked for."""
    asked = prompt.messages[-1][1]
    if sampling.schema is not None and "anyOf" in sampling.schema:
        return json.dumps(_decide(asked))
    if sampling.schema is not None:
        return json.dumps(_form(asked, sampling.schema["properties"]))
    task = next((task for wish, task in TASKS.items() if wish in asked), None)
    if task is None:
        return "Monday"
    if prompt.prefill:
        names = zip(task.params, parameters(task.to_brief()), strict=True)
        renamed = "".join(f"{own} = {given}\n    " for own, given in names)
        return " " + renamed + task.right.split("\n", 1)[1].strip()
    return f"```python\n{task.right}```\n"


def _decide(asked):
    one = max((one for one in PAPER.decisions if f"Request: {one.request}\n" in asked), key=str)
    return {"tool": one.tool, "args": one.args} if one.tool else {"answer": one.answer}


def _form(asked, properties):
    if "answer" in properties:
        one, other = (line.split(": ", 1)[1] for line in asked.splitlines()[:2])
        return {"answer": "yes" if PAIRS[one, other] else "no"}
    if "tests" in properties:
        task = next(task for wish, task in TASKS.items() if wish in asked)
        return {"tests": [{"args": one.args, "result": one.result} for one in task.tests]}
    text = next(text for wish, text in WISHES.items() if wish in asked)
    return {"queries": [text.text[:190]]}


def bad(_prompt, sampling, _index=0):
    """Return something that is never right."""
    if sampling.schema is None:
        return "I am not sure what you mean."
    if "anyOf" in sampling.schema:
        return '{"tool": "files.read", "args": {"path": "elsewhere"}}'
    if "answer" in sampling.schema["properties"]:
        return '{"answer": "yes"}'
    return '{"queries": ["zzz"]}' if "queries" in sampling.schema["properties"] else "{}"


class Middling:
    """Knows every second answer of a kind; judges with care, and says ``ask`` else."""

    def __init__(self):
        self.count = {}

    def __call__(self, prompt, sampling, index=0):
        fields = tuple((sampling.schema or {}).get("properties", ("free", bool(prompt.prefill))))
        self.count[fields] = self.count.get(fields, 0) + 1
        if fields == ("answer",):
            answer = able(prompt, sampling)
            sure = self.count[fields] % 4 in (1, 2)
            return answer if sure else '{"answer": "ask"}'
        return (able if self.count[fields] % 2 else bad)(prompt, sampling, index)
