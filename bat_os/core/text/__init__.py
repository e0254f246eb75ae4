"""What documents of each form are made of."""
