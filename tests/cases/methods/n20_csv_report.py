# META {"args": ["name,score\nann,3\nbob,5\n"], "expect": {"mean": 4.0, "best": "bob", "out": "bob;5\r\nann;3\r\n"}}
import csv
import io
import statistics

def report(self, text):
    rows = list(csv.DictReader(io.StringIO(text)))
    rows.sort(key=lambda row: -int(row["score"]))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerows([row["name"], row["score"]] for row in rows)
    return {
        "mean": float(statistics.mean(int(row["score"]) for row in rows)),
        "best": rows[0]["name"],
        "out": out.getvalue(),
    }
