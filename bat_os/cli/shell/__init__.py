"""Around the verbs: settings, the reading of sentences, shell completion, the reference page."""
