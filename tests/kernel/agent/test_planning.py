"""What a request asks of many things, in four languages, as the same English words."""

import pytest

from bat_os.kernel.agent.planning import make_plan, speaks_of_many
from bat_os.sentence.measures import in_english, measures_in

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
    assert make_plan("is ~/a.md larger than ~/b.md?", "en", both) is None


def test_words_of_a_path_are_names():
    assert measures_in("take ~/newest/files.txt", "en") == frozenset()


def test_a_request_is_followed_by_the_english_words():
    assert in_english("the longest file", "en") == "the longest file"
    assert in_english("die längste Datei", "de") == "die längste Datei file longest"
