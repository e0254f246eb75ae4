"""The commands: arguments, verbs and how their answers are shown, set-up, the watchdog."""
