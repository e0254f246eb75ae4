"""What a file is, and all that it says, answers no question about what is in it."""

import pytest

from bat_os.world.files import Files

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture
def drivers():
    return {"files": Files()}


@pytest.fixture
def papers(tmp_path):
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "lease.txt").write_text(
        "The rent is due on the 3rd of each month.\nThe key is with Mrs Novak.\n"
        "Der Schlüssel liegt im Büro.\nLa clé est au bureau.\nLa llave se guarda en la oficina.\n"
    )
    (folder / "cards.vcf").write_text("BEGIN:VCARD\nFN:Bob Brunner\nTEL:+43 660\nEND:VCARD\n")
    return folder


ABOUT_WHAT_IS_IN_IT = [
    "how old is Bob in {}/cards.vcf?",
    "how long is the call with Bob in {}/cards.vcf?",
    "when was the last change of the rent in {}/lease.txt?",
    "how big is the garage in {}/lease.txt?",
    "wie groß ist die Garage in {}/lease.txt?",
    "wie alt ist Bob laut {}/cards.vcf?",
    "quelle est la taille du garage dans {}/lease.txt ?",
    "¿cuál es el tamaño del garaje en {}/lease.txt?",
]
LINES = {
    "where is the key in {}/lease.txt?": "The key is with Mrs Novak.",
    "wo ist der Schlüssel laut {}/lease.txt?": "Der Schlüssel liegt im Büro.",
    "où est la clé selon {}/lease.txt ?": "La clé est au bureau.",
    "¿dónde está la llave según {}/lease.txt?": "La llave se guarda en la oficina.",
}


async def test_what_a_file_is_says_nothing_of_what_is_in_it(said, papers):
    await said(f"you may read {papers}")
    for asked in ABOUT_WHAT_IS_IN_IT:
        told = await said(asked.format(papers), session=asked)
        assert told["kind"] in ("unable", "asked"), (asked, told["text"])
        assert not any("files." in one for one in told["choices"]), (asked, told["choices"])
    assert not (await said("what have you learned?"))["value"]


async def test_a_question_is_answered_with_a_line_and_never_with_the_whole_file(said, papers):
    await said(f"you may read {papers}")
    for asked, line in LINES.items():
        told = await said(asked.format(papers), session=asked)
        assert told["kind"] in ("recalled", "unable"), (asked, told["text"])
        assert line in told["text"]
        assert not told["learned"]
        assert "\n" not in told["text"]


async def test_a_raw_result_is_an_answer_once_a_person_says_that_it_is_meant(said, papers):
    await said(f"you may read {papers}")
    asked = await said(f"turn {papers}/cards.vcf into json")
    assert (asked["kind"], asked["choices"][0][:11]) == ("asked", "files.read("), asked
    assert not (await said("what have you learned?", session="other"))["value"]
    told = await said("yes")
    assert told["value"].startswith("BEGIN:VCARD"), told
    again = await said(f"turn {papers}/lease.txt into json")
    assert again["value"].startswith("The rent"), again


async def test_one_step_that_nobody_agreed_to_becomes_no_method(said, papers):
    await said(f"you may read {papers}")
    told = await said(f"find the files in {papers} that end in .txt")
    assert (told["value"], told["learned"]) == (["lease.txt"], False)
    assert not (await said("what have you learned?"))["value"]
