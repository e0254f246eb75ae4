"""What a model can do: the questions, the sitting, and when it is held."""
