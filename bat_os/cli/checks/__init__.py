"""What ``batos doctor`` looks at, by what it is about; ``bat_os.cli.doctor`` runs them all."""
