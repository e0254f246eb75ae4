"""How the personas speak with people: pure rules for who speaks, what is asked, what is kept."""
