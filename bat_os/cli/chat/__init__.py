"""The conversation at a terminal: line editor, slash verbs, and what goes on meanwhile."""
