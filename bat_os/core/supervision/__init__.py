"""The rules of the watchdog: when to restart, when a kernel hangs, how an upgrade goes on."""
