"""Start, watch, restart and stop the kernel; ``min_watchdog_service.py --help``."""

from bat_os.cli.watchdog import main

if __name__ == "__main__":
    raise SystemExit(main())
