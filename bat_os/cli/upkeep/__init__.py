"""The watchdog as a service, and the upgrade: what the command line adds to the supervisor."""
