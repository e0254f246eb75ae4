"""What a sentence was meant to ask for: known skills, a second reading, names that are the same."""
