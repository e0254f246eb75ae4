"""One sentence of a person, one answer that says what stands behind it."""
