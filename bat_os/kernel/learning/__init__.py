"""How a method is learned: the cycle, its candidates, their trials and the judge."""
