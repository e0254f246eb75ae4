"""How each verb of the command line is shown, and what it does beyond its request."""
