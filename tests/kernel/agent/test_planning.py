"""What a request asks of many things, in four languages, as the same English words."""

from datetime import UTC, datetime

import pytest

from bat_os.kernel.agent.acting import plan_for
from bat_os.kernel.agent.planning import make_plan, speaks_of_many
from bat_os.sentence.measures import in_english, measures_in
from bat_os.sentence.reading import read_sentence

SAME = {
    ("facts", "changed", "max"): [
        ("en", "which file in ~/n is the newest?"),
        ("en", "which file in ~/n was changed last?"),
        ("de", "Welche Datei in ~/n ist die neueste?"),
        ("de", "welche Datei in ~/n wurde zuletzt geändert?"),
        ("fr", "Quel est le fichier le plus récent de ~/n ?"),
        ("es", "¿Cuál es el archivo más reciente de ~/n?"),
    ],
    ("facts", "bytes", "min"): [
        ("en", "what is the smallest file in ~/n?"),
        ("de", "welche Datei in ~/n ist am kleinsten, also die kleinste?"),
        ("fr", "quel est le plus petit fichier de ~/n ?"),
        ("es", "¿cuál es el archivo más pequeño de ~/n?"),
    ],
    ("read", "character", "max"): [
        ("en", "which note in ~/n is the longest?"),
        ("de", "Welche Notiz in ~/n ist die längste?"),
        ("fr", "quelle est la note la plus longue de ~/n ?"),
        ("es", "¿cuál es la nota más larga de ~/n?"),
    ],
    ("read", "line", "min"): [
        ("en", "which file in ~/n has the fewest lines?"),
        ("en", "which file in ~/n has the smallest number of lines?"),
        ("de", "welche Datei in ~/n hat die wenigsten Zeilen?"),
        ("fr", "quel fichier de ~/n a le moins de lignes ?"),
        ("es", "¿qué archivo de ~/n tiene menos líneas?"),
    ],
    ("read", "word", "sum"): [
        ("en", "how many words are in all files of ~/n together?"),
        ("de", "wie viele Wörter haben alle Dateien in ~/n zusammen?"),
        ("fr", "combien de mots ont tous les fichiers de ~/n ?"),
        ("es", "¿cuántas palabras tienen todos los archivos de ~/n?"),
    ],
    ("facts", "bytes", "sum"): [
        ("en", "how large are all files in ~/n together?"),
        ("de", "wie groß sind alle Dateien in ~/n zusammen?"),
        ("fr", "quelle est la taille de tous les fichiers de ~/n ?"),
        ("es", "¿qué tamaño tienen todos los archivos de ~/n juntos?"),
    ],
}


@pytest.mark.parametrize(
    ("wanted", "language", "request_text"),
    [(wanted, *each) for wanted, group in SAME.items() for each in group],
)
def test_a_request_has_the_same_plan_in_every_language(wanted, language, request_text):
    plan = make_plan(request_text, language, ["~/n"])
    assert (plan.operation, plan.measure, plan.how) == wanted
    assert speaks_of_many(request_text, language)


@pytest.mark.parametrize(
    ("language", "request_text"),
    [
        ("en", "tell me more about the file in ~/n"),
        ("en", "which files in ~/n mention milk?"),
        ("de", "zeig mir die Datei in ~/n"),
        ("fr", "montre-moi le fichier de ~/n"),
        ("es", "muéstrame el archivo de ~/n"),
        ("en", "what is the oldest song in ~/n?"),
        ("en", "what is the first line of the largest file in ~/n?"),
        ("en", "how many lines are in the newest file of ~/n?"),
        ("en", "what does the newest note in ~/n say?"),
        ("en", "which file in ~/n has the longest line?"),
        ("en", "delete the oldest file in ~/n"),
        ("de", "was steht in der neuesten Datei in ~/n?"),
        ("de", "wie viele Zeilen hat die größte Datei in ~/n?"),
        ("de", "lösche die älteste Datei in ~/n"),
        ("fr", "que dit le fichier le plus récent de ~/n ?"),
        ("fr", "quelle est la première ligne du plus gros fichier de ~/n ?"),
        ("es", "¿qué dice el archivo más reciente de ~/n?"),
        ("es", "¿cuántas líneas tiene el archivo más grande de ~/n?"),
    ],
)
def test_what_its_words_leave_open_is_not_planned(language, request_text):
    assert make_plan(request_text, language, ["~/n"]) is None


def test_named_files_are_compared_and_put_together():
    both = ("~/a.md", "~/b.md")
    plan = make_plan("which is larger, ~/a.md or ~/b.md?", "en", both)
    assert plan.next([]) == ("facts", "~/a.md")
    assert plan.next([{"bytes": 5}]) == ("facts", "~/b.md")
    assert plan.next([{"bytes": 5}, {"bytes": 9}]) is None
    assert plan.answer([{"bytes": 5}, {"bytes": 9}]) == "~/b.md"
    lines = make_plan("how many lines do ~/a.md and ~/b.md have together?", "en", both)
    assert lines.answer(["1\n2\n", "3\n"]) == 3


A, B = "/n/a.md", "/n/b.md"


def plan(text, language):
    sentence = read_sentence(text, datetime.now(UTC), language)
    return plan_for(sentence)


@pytest.mark.parametrize(
    ("language", "request_text", "wanted"),
    [
        ("en", f"is {A} longer than {B}?", ("read", "character", "more")),
        ("en", f"is {A} shorter than {B}?", ("read", "character", "less")),
        ("en", f"is {A} larger than {B}", ("facts", "bytes", "more")),
        ("en", f"is {A} newer than {B}?", ("facts", "changed", "more")),
        ("en", f"was {A} older than {B}?", ("facts", "changed", "less")),
        ("en", f"does {A} have more lines than {B}?", ("read", "line", "more")),
        ("en", f"has {A} fewer words than {B}?", ("read", "word", "less")),
        ("de", f"Ist {A} länger als {B}?", ("read", "character", "more")),
        ("de", f"ist {A} älter als {B}?", ("facts", "changed", "less")),
        ("de", f"Hat {A} mehr Zeilen als {B}?", ("read", "line", "more")),
        ("fr", f"est-ce que {A} est plus long que {B} ?", ("read", "character", "more")),
        ("fr", f"{A} a-t-il moins de mots que {B} ?", ("read", "word", "less")),
        ("es", f"¿es {A} más larga que {B}?", ("read", "character", "more")),
        ("es", f"¿tiene {A} menos palabras que {B}?", ("read", "word", "less")),
    ],
)
def test_two_files_are_compared(language, request_text, wanted):
    made = plan(request_text, language)
    assert (made.operation, made.measure, made.how) == wanted
    assert made.paths == (A, B)


@pytest.mark.parametrize(
    ("language", "request_text"),
    [
        ("en", f"how much longer is {A} than {B}?"),
        ("en", f"is {A} twice as long, or longer, than {B}?"),
        ("en", f"is {A} longer or shorter than {B}?"),
        ("en", f"is {A} not longer than {B}?"),
        ("en", f"has {A} 3 lines more than {B}?"),
        ("en", f"compared with {A}, is {B} longer?"),
        ("en", f"make {A} longer than {B}"),
        ("en", f"is {A} nicer than {B}?"),
        ("en", f"is the first line of {A} longer than {B}?"),
        ("en", "which files in /n have more than 2 lines?"),
        ("en", f"which files in /n are newer than {A}?"),
        ("de", f"wie viel länger ist {A} als {B}?"),
        ("de", "welche Dateien in /n haben mehr als 2 Zeilen?"),
        ("fr", "quels fichiers de /n ont plus de 2 lignes ?"),
        ("es", "¿qué archivos de /n tienen más de 2 líneas?"),
    ],
)
def test_what_yes_or_no_does_not_answer_is_not_compared(language, request_text):
    assert plan(request_text, language) is None


def test_a_comparison_answers_yes_or_no():
    longer = plan(f"is {A} longer than {B}?", "en")
    assert longer.next([]) == ("read", A)
    assert [longer.answer(each) for each in (["tea", "te"], ["te", "te"], ["te", "tea"])] == [
        True, False, False,
    ]  # fmt: skip
    older = plan(f"is {A} older than {B}?", "en")
    assert older.answer([{"changed": "2026-01-02"}, {"changed": "2026-01-03"}]) is True


def test_words_of_a_path_are_names():
    assert measures_in("take ~/newest/files.txt", "en") == frozenset()


def test_a_request_is_followed_by_the_english_words():
    assert in_english("the longest file", "en") == "the longest file"
    assert in_english("is a longer than b", "en") == "is a longer than b longest than"
    assert in_english("die längste Datei", "de") == "die längste Datei file longest"
