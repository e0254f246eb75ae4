"""One transformers model in this process: in which form, from which files, with which adapters."""
