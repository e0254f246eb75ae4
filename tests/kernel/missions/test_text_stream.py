"""bat_os.kernel.missions.text_stream: text is streamed while it is written, in batches."""

import asyncio

from bat_os.kernel.missions.text_stream import Pieces


def test_where_nobody_listens_an_engine_is_given_nothing_to_call():
    pieces, heard = Pieces(), []
    with pieces.listen("other", heard.append), pieces.writing("a", "ALFRED", "def f") as hear:
        assert hear is None
    assert heard == []


async def test_what_comes_at_once_is_told_as_one_piece_that_begins_with_the_signature():
    pieces, heard = Pieces(), []
    with pieces.listen("a", heard.append), pieces.writing("a", "ALFRED", "def f():\n") as hear:
        for word in (" return", " 1"):
            hear(0, word)
            hear(1, " of another candidate")
        assert heard == []
    assert heard == [
        {"brief_id": "a", "persona": "ALFRED", "text": "def f():\n return 1", "begins": True}
    ]


async def test_a_text_that_takes_its_time_is_told_in_pieces_that_make_up_the_whole():
    pieces, news, heard = Pieces(), asyncio.Event(), []

    def tell(told):
        heard.append(told)
        news.set()

    with pieces.listen("a", tell), pieces.writing("a", "BRICK") as hear:
        hear(0, "one")
        await news.wait()
        hear(0, " two")
        assert [told["text"] for told in heard] == ["one"]
    assert [(told["text"], told["begins"]) for told in heard] == [("one", True), (" two", False)]


async def test_all_who_listen_hear_and_who_has_gone_hears_nothing_more():
    pieces, first, second = Pieces(), [], []
    with pieces.listen("a", first.append):
        with pieces.listen("a", second.append), pieces.writing("a", "BRICK") as hear:
            hear(0, "one")
        with pieces.writing("a", "BRICK") as hear:
            hear(0, "two")
    assert [told["text"] for told in first] == ["one", "two"]
    assert [told["text"] for told in second] == ["one"]
    with pieces.writing("a", "BRICK") as hear:
        assert hear is None
