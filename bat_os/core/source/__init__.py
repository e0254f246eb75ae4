"""Rules about the source text of methods: what is allowed, what is mended."""
