"""bat_os.sentence.watching: what people say of files that are watched, in four languages."""

import datetime as dt

import pytest

from bat_os.sentence.reading import read_sentence
from bat_os.sentence.watching import ALL, read_event, read_watching, speaks_of_file, steps_of

NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


def read(text, language=""):
    return read_watching(read_sentence(text, NOW, language))


@pytest.mark.parametrize(
    ("sentence", "act", "path", "on", "pattern", "words"),
    [
        ("when a file appears in ~/inbox, count its lines", "do", "~/inbox", ("appear",), "",
         "count its lines"),
        ("Count its lines as soon as a new file lands in ~/inbox", "do", "~/inbox", ("appear",),
         "", "Count its lines"),
        ("whenever a csv is saved in ~/data, remind me to sort it", "remind", "~/data",
         ("appear",), "*.csv", "sort it"),
        ("tell me when ~/notes/todo.md changes", "tell", "~/notes/todo.md", ALL, "", ""),
        ("let me know if a file is deleted from ~/inbox", "tell", "~/inbox", ("go",), "", ""),
        ("when a file in ~/inbox is modified, tell me", "tell", "~/inbox", ("change",), "", ""),
        ("watch the folder ~/inbox", "tell", "~/inbox", ALL, "", ""),
        ("learn the folder ~/notes and keep it current", "learn", "~/notes", ALL, "", ""),
        ("stop watching ~/inbox", "stop", "~/inbox", ALL, "", ""),
        ("what are you watching?", "list", None, ALL, "", ""),
        ("wenn eine PDF-Datei in ~/inbox auftaucht, sag mir Bescheid", "tell", "~/inbox",
         ("appear",), "*.pdf", ""),
        ("Sobald sich ~/todo.md ändert, erinnere mich daran, sie zu lesen", "remind", "~/todo.md",
         ALL, "", "sie zu lesen"),
        ("lerne den Ordner ~/notes und halte ihn aktuell", "learn", "~/notes", ALL, "", ""),
        ("quand un fichier disparaît de ~/inbox, préviens-moi", "tell", "~/inbox", ("go",), "",
         ""),
        ("dès qu'une photo arrive dans ~/photos, compte ses octets", "do", "~/photos",
         ("appear",), "*.png *.jpg *.jpeg *.gif *.webp *.heic", "compte ses octets"),
        ("apprends le dossier ~/notes et garde-le à jour", "learn", "~/notes", ALL, "", ""),
        ("cuando desaparezca un archivo de ~/inbox, avísame", "tell", "~/inbox", ("go",), "", ""),
        ("cada vez que llegue un PDF a ~/inbox, cuenta sus líneas", "do", "~/inbox", ("appear",),
         "*.pdf", "cuenta sus líneas"),
        ("aprende la carpeta ~/notes y mantenla al día", "learn", "~/notes", ALL, "", ""),
    ],
)  # fmt: skip
def test_what_is_wanted(sentence, act, path, on, pattern, words):
    found = read(sentence)
    named = found.path and found.path.value
    assert (found.act, named, found.on, found.pattern, found.words) == (
        act, path, on, pattern, words,
    )  # fmt: skip


@pytest.mark.parametrize(
    "sentence",
    [
        "when is the party in ~/notes/fest.txt?",
        "what happens when a file appears in ~/inbox?",
        "sum the km column of ~/jan.csv",
        "learn to double a number",
        "stop",
        "how do I watch a film?",
        "tell me when it rains",
        "when a file appears, tell me",
        "wann ist das Fest in ~/notes/fest.txt?",
    ],
)
def test_other_sentences_are_left_alone(sentence):
    assert read(sentence) is None


@pytest.mark.parametrize(
    ("words", "language", "steps"),
    [
        ("count its lines and append that to ~/log.txt", "en",
         ["count the lines of ~/f.txt", "append that to ~/log.txt"]),
        ("read it, then delete it", "en", ["read ~/f.txt", "delete ~/f.txt"]),
        ("append its name to ~/log.txt", "en", ['append "(name of the file)" to ~/log.txt']),
        ("add milk and eggs to my list", "en", ["add milk and eggs to my list"]),
        ("append 'read it and go' to ~/log.txt", "en", ["append 'read it and go' to ~/log.txt"]),
        ("zähle ihre Zeilen und häng das an ~/log.txt an", "de",
         ["zähle die Zeilen von ~/f.txt", "häng das an ~/log.txt an"]),
        ("compte ses lignes et ajoute ça à ~/log.txt", "fr",
         ["compte les lignes de ~/f.txt", "ajoute ça à ~/log.txt"]),
        ("cuenta sus líneas y añade eso a ~/log.txt", "es",
         ["cuenta las líneas de ~/f.txt", "añade eso a ~/log.txt"]),
    ],
)  # fmt: skip
def test_orders_become_sentences_about_the_file(words, language, steps):
    assert steps_of(words, "~/f.txt", language) == steps


def test_an_order_may_be_about_no_file():
    assert speaks_of_file("count its lines", "en")
    assert not speaks_of_file("add milk to my list", "en")


def test_an_event_is_read_alone():
    event = read_event(read_sentence("when a PDF appears in ~/inbox", NOW))
    assert (event.on, event.pattern) == (("appear",), "*.pdf")
    assert read_event(read_sentence("tomorrow at 9", NOW)) is None
    assert read_event(read_sentence("when a file appears in ~/a, tell me", NOW)) is None
