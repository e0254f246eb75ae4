"""bat_os.sentence.terms: stems, from several threads at once."""

from concurrent.futures import ThreadPoolExecutor

from bat_os.sentence.terms import stem


def test_threads_do_not_mix_their_words():
    words = [f"{first}{second}" for first in ("relat", "organ", "digit", "comput", "general")
             for second in ("ional", "izations", "ally", "ability", "ness", "ings")]  # fmt: skip
    wanted = {(word, code): stem.__wrapped__(word, code) for word in words for code in ("en", "de")}
    many = [*wanted] * 40
    with ThreadPoolExecutor(8) as threads:
        found = [*threads.map(lambda one: stem.__wrapped__(*one), many)]
    assert found == [wanted[one] for one in many]
