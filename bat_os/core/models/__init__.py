"""Models as values: profiles, and who may stay in memory."""
