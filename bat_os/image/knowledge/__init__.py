"""The knowledge catalog's indexes: words, vectors, meta data, and the segments under them."""
