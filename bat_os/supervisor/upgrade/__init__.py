"""Replace the program under a living image, and take it back when it does not serve."""
