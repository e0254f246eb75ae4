"""bat_os.app.logs: the journal of thought."""

import json

from bat_os.app.logs import Journal


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


async def test_every_event_is_one_line_in_order_and_none_is_lost_at_close(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    events = [{"seq": n, "text": "ümlaut\nline"} for n in range(3000)]
    for event in events:
        journal.write(event)
    await journal.close()
    assert read(tmp_path / "j.jsonl") == events
    assert journal.dropped == 0


async def test_a_later_journal_goes_on_in_the_same_file(tmp_path):
    for boot in range(2):
        journal = Journal(tmp_path / "j.jsonl")
        journal.write({"boot": boot})
        await journal.close()
    assert read(tmp_path / "j.jsonl") == [{"boot": 0}, {"boot": 1}]


async def test_what_json_cannot_say_is_written_as_text(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    journal.write({"path": tmp_path})
    await journal.close()
    assert read(tmp_path / "j.jsonl") == [{"path": str(tmp_path)}]


async def test_a_full_queue_drops_the_newest_events_and_counts_them(tmp_path):
    journal = Journal(tmp_path / "j.jsonl", max_queued=5)
    for n in range(8):
        journal.write({"seq": n})
    await journal.close()
    assert [event["seq"] for event in read(tmp_path / "j.jsonl")] == [0, 1, 2, 3, 4]
    assert journal.dropped == 3


async def test_a_full_file_is_put_aside_once(tmp_path):
    journal = Journal(tmp_path / "j.jsonl", max_bytes=1000)
    for n in range(4):
        journal.write({"seq": n, "text": "x" * 1000})
    await journal.close()
    assert [event["seq"] for event in read(tmp_path / "j.jsonl.1")] == [2]
    assert [event["seq"] for event in read(tmp_path / "j.jsonl")] == [3]
    assert journal.dropped == 0


async def test_a_file_that_is_taken_away_is_begun_anew(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    for n in range(3):
        journal.write({"seq": n})
        await journal._queue.join()
        (tmp_path / "j.jsonl").rename(tmp_path / f"taken{n}.jsonl")
    journal.write({"seq": 3})
    await journal.close()
    kept = [event["seq"] for path in tmp_path.iterdir() for event in read(path)]
    assert sorted(kept) == [0, 1, 2, 3]


async def test_a_journal_that_cannot_be_written_stops_nobody(tmp_path):
    journal = Journal(tmp_path / "missing" / "j.jsonl")
    journal.write({"seq": 0})
    await journal.close()
    assert journal.dropped == 1
