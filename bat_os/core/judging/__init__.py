"""Rules on candidates: is it plausible, what tells them apart, which one to keep."""
