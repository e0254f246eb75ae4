"""The chat's parts: the line editor, what it completes, what is shown while a brief runs."""
