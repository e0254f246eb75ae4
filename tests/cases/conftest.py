"""The cases are data: nothing in them is collected or imported."""

collect_ignore_glob = ["methods/*.py", "escapes/*.py"]
