"""bat_os.cli.chatroom.completer: what is offered for the word before the cursor."""

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from bat_os.cli.chatroom.completer import ChatCompleter, Slash
from bat_os.cli.chatroom.names import LiveNames

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
