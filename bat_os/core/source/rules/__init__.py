"""The rules behind ``fixups``: one module for each kind of fault."""
