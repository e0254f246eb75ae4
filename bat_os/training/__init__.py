"""Training of the LoRA adapter that writes methods."""
