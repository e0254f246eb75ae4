"""BAT OS: a living image for local AI."""

from pathlib import Path

__version__ = "0.1.0"

ROOT = Path(__file__).absolute().parents[1]  # the checkout, or the site-packages of an install


def is_checkout(root: Path = ROOT) -> bool:
    """Return True if ``root`` is a checkout, and False if it is where pip installed us."""
    return (root / "batos.py").is_file()


def find_shipped(name: str, root: Path = ROOT) -> Path:
    """Return a file or folder that ships at the top level of a checkout; a wheel has it inside."""
    return root / name if is_checkout(root) else root / "bat_os" / "shipped" / name
