"""Parse arguments, wire adapters, run: the only place that names an adapter class."""
