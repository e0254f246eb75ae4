"""bat_os.cli.chat.editor: what goes on in the next line, and what is offered at a cursor."""

import asyncio

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import DummyInput
from prompt_toolkit.output import DummyOutput

from bat_os.cli.chat.editor import ChatCompleter, Editor, LiveNames, Slash, is_whole
from bat_os.client.client import KernelClient

OBJECTS = [
    {"name": "traits_obj", "selectors": ["clone"], "parents": []},
    {"name": "genesis_obj", "selectors": ["double", "greet"], "parents": ["traits_obj"]},
    {"name": "robot_obj", "selectors": ["wave"], "parents": ["genesis_obj", "robot_obj"]},
]
SLASHES = {
    "source": Slash("show it", ("--at",), ("object", "selector"), ((), ())),
    "send": Slash("send it", ("--fresh", "--cascade"), ("object", "selector", "words")),
    "tokens": Slash("on or off", (), ("",), (("on", "off"),)),
    "learn": Slash("learn it", (), ("files",)),
}


@pytest.fixture
async def offer():
    names = LiveNames(lambda: None)
    names.take(OBJECTS)
    completer = ChatCompleter(SLASHES, names)

    def offer(text, *, tab=False):
        event = CompleteEvent(completion_requested=tab)
        document = Document(text, len(text))
        return [one.text for one in completer.get_completions(document, event)]

    return offer


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("robot_obj.", ["clone", "double", "greet", "wave"]),
        ("robot_obj.w", ["wave"]),
        ("tell robot_obj.w", ["wave"]),
        ("nobody.w", []),
        ("ro", ["robot_obj"]),
        ("ask ro", ["robot_obj"]),
        ("dou", ["double"]),
        ("now dou", []),
        ("d", []),
        ("", []),
        ("/s", ["send", "source"]),
        ("/source ge", ["genesis_obj"]),
        ("/source genesis_obj g", ["greet"]),
        ("/source genesis_obj --", ["--at"]),
        ("/send --fresh genesis_obj d", ["double"]),
        ("/send genesis_obj double 4", []),
        ("/tokens o", ["on", "off"]),
        ("/nothing x", []),
        ("/sour genesis_obj g", []),
    ],
)
async def test_names_are_offered_where_they_fit(offer, text, offered):
    assert offer(text) == offered


async def test_who_asks_is_offered_more_than_who_types(offer):
    assert offer("now dou", tab=True) == ["double"]
    assert offer("g", tab=True) == ["genesis_obj", "greet"]


async def test_files_are_offered_where_a_verb_takes_them(offer, tmp_path):
    (tmp_path / "notes.md").write_text("x")
    assert offer(f"/learn {tmp_path}/no") == ["tes.md"]


pytestmark = pytest.mark.slow


async def test_what_is_said_while_nobody_types_is_written_at_once(tmp_path):
    said = []
    with create_app_session(input=DummyInput(), output=DummyOutput()):
        editor = Editor(tmp_path, ChatCompleter({}, LiveNames(lambda: None)), lambda: "")
    await editor.beside(lambda: said.append("the daemon is back"))
    assert said == ["the daemon is back"]


class News:
    """Waits until names are as they are wanted."""

    def __init__(self, names):
        self._names = names
        self._came = asyncio.Event()
        names.on_news = self._came.set

    async def until(self, holds):
        while not holds(self._names):
            self._came.clear()
            await self._came.wait()


@pytest.fixture
async def keep():
    """Return a function that keeps names of a connection fresh until the test ends."""
    tasks = []

    def begin(connect):
        names = LiveNames(connect)
        tasks.append(asyncio.create_task(names.run()))
        return names

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_anybody_has_learned_is_known_soon(thinking, keep):
    thinking.gate.set()
    names = keep(thinking.client)
    news = News(names)
    await news.until(lambda names: names.reachable)
    assert "genesis_obj" in names.objects
    assert "clone" in names.messages("genesis_obj")
    assert "double" not in names.messages("genesis_obj")
    before = names.count
    async with thinking.client() as someone_else:
        told = {"target": "genesis_obj", "selector": "double", "args": [1], "ik": "k"}
        await someone_else.request("send", timeout=None, **told)
    await news.until(lambda names: "double" in names.messages("genesis_obj"))
    assert names.count == before + 1


async def test_without_a_kernel_there_are_no_names_and_no_error(tmp_path, keep):
    names = keep(lambda: KernelClient.at(tmp_path, lambda: False))
    await News(names).until(lambda names: names.reachable is False)
    assert names.objects == []
    assert names.messages("genesis_obj") == []


# ---- lines ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "", "calculate the factorial of 5", "what's the time?", "the dogs' tails",
        "it is 5 o'clock",
        "genesis_obj.double(21)", "greet 'Ann'", 'say "it\'s late"', "it is late :( again",
        "greet 'it''s'", "a) first", r"say 'it\'s late'", '/send o f \'["a"]\'', "f({'a': [1, 2]})",
    ],
)  # fmt: skip
def test_a_sentence_is_whole_whatever_its_apostrophes(text):
    assert is_whole(text)


@pytest.mark.parametrize(
    "text", ["f(", "f([1, 2", "sort [3,\n 1", "greet 'Ann", 'say "hello', "f({'a': (1, 2}", 'f(")"']
)
def test_an_open_bracket_or_quote_goes_on(text):
    assert not is_whole(text)


@pytest.mark.parametrize("text", ["f(\n", "greet 'Ann\n  ", "f([\n1,\n"])
def test_an_empty_line_ends_whatever_is_open(text):
    assert is_whole(text)
