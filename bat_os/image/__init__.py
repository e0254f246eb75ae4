"""The living image: persistent objects and the one way to change them."""
