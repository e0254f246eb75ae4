"""What lies between a message and its mission: storing briefs, whose turn it is, who listens."""
