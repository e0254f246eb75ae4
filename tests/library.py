"""The shipped seed library, read once for all tests."""

from pathlib import Path

from bat_os.method.seeds import parse_seeds

FOLDER = Path(__file__).parents[1] / "bat_os" / "seeds"
SEEDS = parse_seeds("\n".join(p.read_text(encoding="utf-8") for p in sorted(FOLDER.glob("*.toml"))))
