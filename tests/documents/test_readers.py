"""Files, pages, PDFs and folders become documents; what cannot be read is named with a reason."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zlib

import pytest

from bat_os.documents.extract import extract, read_html
from bat_os.documents.readers import MAX_BYTES, Document, Skipped, read_all, read_file, read_stdin
from bat_os.errors import ArgumentsError, NotFoundError, TooLargeError

pypdf = pytest.importorskip("pypdf")


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def make_pdf(*pages, title="", key=""):
    """A PDF with one line of text a page, written by hand: pypdf writes no text."""
    writer = pypdf.PdfWriter()
    for text in pages:
        page = writer.add_blank_page(300, 300)
        font = pypdf.generic.DictionaryObject({
            pypdf.generic.NameObject("/Type"): pypdf.generic.NameObject("/Font"),
            pypdf.generic.NameObject("/Subtype"): pypdf.generic.NameObject("/Type1"),
            pypdf.generic.NameObject("/BaseFont"): pypdf.generic.NameObject("/Helvetica"),
        })  # fmt: skip
        fonts = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/F1"): font})
        page[pypdf.generic.NameObject("/Resources")] = pypdf.generic.DictionaryObject(
            {pypdf.generic.NameObject("/Font"): fonts}
        )
        stream = pypdf.generic.DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode() if text else b"")
        page[pypdf.generic.NameObject("/Contents")] = writer._add_object(stream)
    if title:
        writer.add_metadata({"/Title": title})
    if key:
        writer.encrypt(key, algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


# --- files ---


@pytest.mark.parametrize(
    ("name", "data", "title", "meta"),
    [
        ("a.txt", "Cats purr.", "a.txt", {"form": "text", "format": "text"}),
        ("README", "Cats purr.", "README", {"form": "text", "format": "text"}),
        ("a.md", "# Cats\nThey purr.", "Cats", {"form": "markdown", "format": "markdown"}),
        ("a.py", "x = 1", "a.py", {"form": "code", "format": "code", "language": "python"}),
        ("a.RS", "fn f() {}", "a.RS", {"form": "code", "format": "code", "language": "rust"}),
        ("run", "#!/bin/sh\nls", "run", {"form": "code", "format": "code", "language": "shell"}),
    ],
)
def test_a_file_is_read_by_what_its_name_says(tmp_path, name, data, title, meta):
    path = write(tmp_path / name, data)
    assert read_file(path) == [Document(title, data, str(path), "document", meta)]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "utf-16-le"]
)
def test_text_of_the_usual_encodings_is_read(tmp_path, encoding):
    data = "Größe: 5 €".replace("€", "£").encode(encoding)
    path = write(tmp_path / "a.txt", b"\xff\xfe" + data if encoding == "utf-16-le" else data)
    assert read_file(path)[0].text == "Größe: 5 £"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n\t ", "empty"),
        (b"\x7fELF\0\0\0\0", "not text"),
        (b"\x01\x02\x03\x04 some", "not text"),
        (b"\xff\xfe\x00\xd8\x00", "not the utf-16"),
    ],
)
def test_what_is_no_text_is_refused_in_words(tmp_path, data, reason):
    with pytest.raises(ArgumentsError, match=reason):
        read_file(write(tmp_path / "a.txt", data))


def test_a_missing_file_a_pipe_and_a_large_file_are_refused(tmp_path):
    with pytest.raises(NotFoundError):
        list(read_all(tmp_path / "nothing.txt"))
    os.mkfifo(tmp_path / "pipe.txt")
    with pytest.raises(ArgumentsError):
        read_file(tmp_path / "pipe.txt")
    with (tmp_path / "large.txt").open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(TooLargeError, match=r"10\.0 MB"):
        read_file(tmp_path / "large.txt")


def test_a_path_from_elsewhere_is_the_same_source(tmp_path, monkeypatch):
    write(tmp_path / "notes" / "a.txt", "Cats purr.")
    monkeypatch.chdir(tmp_path / "notes")
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("a.txt", "../notes/a.txt", ".", "~/notes", tmp_path):
        assert [item.source for item in read_all(path)] == [str(tmp_path / "notes" / "a.txt")]


@pytest.mark.parametrize("path", ["a\0b", "circle"])
def test_what_is_no_path_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(ArgumentsError, match="is not a path"):
        list(read_all(path))


@pytest.mark.slow
def test_standard_input_is_a_document_of_its_own_each_time():
    code = "from bat_os.documents.readers import read_all; print(list(read_all('-')))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"# A note\nHi.", capture_output=True, check=True
    )
    assert b"title='A note'" in done.stdout
    assert b"source=''" in done.stdout


def test_endless_standard_input_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x" * (MAX_BYTES + 2))))
    with pytest.raises(TooLargeError):
        read_stdin()


# --- HTML ---


@pytest.mark.slow
def test_a_page_keeps_what_people_read(tmp_path):
    page = """<!doctype html><html><head><title> A &amp; B </title><style>p {}</style></head>
    <body><nav><a href=x>Menu</a></nav><h1>Boats</h1><p>Boats <b>float</b>.<br>Always.</p>
    <script>alert("x < y")</script><ul><li>oak<li>tar</ul><pre><code>seal   --all

    go</code></pre><table><tr><th>wood<th>age<tr><td>oak</td><td>9</td></tr></table>&copy; me"""
    (document,) = read_file(write(tmp_path / "a.html", page))
    assert document.title == "A & B"
    assert document.meta == {"form": "markdown", "format": "html"}
    text = document.text
    assert text.startswith("# Boats\n\nBoats float.\nAlways.")
    assert "- oak\n- tar" in text
    assert "```\nseal   --all\n\n    go\n```" in text
    assert "|oak |9 |" in text
    assert text.endswith("© me")
    assert "alert" not in text
    assert "Menu" not in text


@pytest.mark.parametrize(
    "page", ["<", "<p", "</p></b>", "<title>", "&#xffffffff;", "<!--", "<nav>", "</pre>"]
)
def test_broken_pages_give_what_they_hold(page):
    _, text = read_html(f"<p>Boats float.</p>{page}")
    assert text.startswith("Boats float.")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b">" * 200_000 + b"<a " * 100_000, "took more than 3 s"),
        (b"<div>" * 500_000, "it has 500,000 tags; at most 200,000"),
        (b"<a" * 100_000, "100,000 of its tags never end"),
        (b"<![x[", "cannot be read as HTML"),
        (b"<script>x()</script>", "no text"),
    ],
    ids=["quadratic", "many", "open", "asserting", "empty"],
)
def test_a_hostile_page_is_given_up_and_explained(page, reason):
    with pytest.raises(ArgumentsError, match=reason):
        extract(page, "html", "a.html", seconds=3)


def test_most_pages_are_far_from_the_bounds_of_the_parser():
    page = "<p>1 < 2, and 3 > 2<br>" * 900
    assert extract(page.encode(), "html", "a.html").text.startswith("1 < 2, and 3 > 2")


# --- PDF ---


@pytest.mark.slow
def test_a_pdf_gives_its_pages_and_its_title(tmp_path):
    path = write(tmp_path / "a.pdf", make_pdf("Boats float.", "Cats purr.", title="Facts"))
    (document,) = read_file(path)
    assert document.title == "Facts"
    assert document.text.split() == ["Boats", "float.", "Cats", "purr."]
    assert document.meta == {"form": "text", "format": "pdf", "pages": 2}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (make_pdf("Secret.", key="key"), "encrypted"),
        (make_pdf("", ""), "scan"),
        (b"%PDF-1.7 nothing of the kind", "cannot be read as PDF"),
        (make_pdf("Boats float.")[:200], "cannot be read as PDF"),
    ],
    ids=["encrypted", "scanned", "not a PDF", "torn"],
)
def test_a_pdf_that_cannot_be_read_is_explained(tmp_path, data, reason):
    with pytest.raises(ArgumentsError, match=reason):
        read_file(write(tmp_path / "a.pdf", data))


@pytest.mark.slow
def test_a_pdf_that_unpacks_to_far_more_than_it_is_is_given_up(tmp_path):
    page = make_pdf("Boats float.")
    flood = zlib.compress(bytes(100_000_000), 1)
    stream = b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(flood)
    start, end = page.index(b"<<\n/Length"), page.index(b"endstream")
    data = page[:start] + stream + flood + b"\n" + page[end:]
    with pytest.raises(ArgumentsError, match=r"a\.pdf: "):
        read_file(write(tmp_path / "a.pdf", data))


# --- folders ---


def test_a_folder_gives_its_texts_and_counts_what_it_leaves_out(tmp_path):
    write(tmp_path / "b.txt", "Cats purr.")
    write(tmp_path / "a.md", "# Boats")
    write(tmp_path / "sub" / "c.py", "x = 1")
    write(tmp_path / "sub" / "notes.tmp", "x")
    write(tmp_path / ".gitignore", "# comment\n*.tmp\n/secret/\na/b\n")
    write(tmp_path / "secret" / "d.txt", "x")
    write(tmp_path / ".hidden" / "d.txt", "x")
    write(tmp_path / "node_modules" / "d.js", "x")
    write(tmp_path / "picture.png", b"\x89PNG\0\0")
    write(tmp_path / "empty.txt", "")
    write(tmp_path / "x.min.js", "x")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    items = list(read_all(tmp_path))
    assert [item.title for item in items if isinstance(item, Document)] == [
        "Boats",
        "b.txt",
        "c.py",
    ]
    skipped = {(item.reason, item.count) for item in items if isinstance(item, Skipped)}
    assert skipped == {
        (f"{tmp_path}/empty.txt: it is empty", 1),
        ("hidden files", 1),
        ("hidden folders", 1),
        ("folders named node_modules", 1),
        ("named by .gitignore", 2),
        ("not text", 1),
        ("made by tools", 1),
        ("not regular files", 1),
    }


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_must_not_be_read_is_left_out(tmp_path):
    write(tmp_path / "a.txt", "x").chmod(0)
    assert [item.reason for item in read_all(tmp_path)] == ["must not be read"]
