"""The verbs of the command line, by what they are about; ``bat_os.cli.verbs`` runs them."""
