"""The process of the forge at the priority of the tests: at its own, a busy core never runs it."""

import sys

from bat_os.training import forge

if __name__ == "__main__":
    forge.NICE = 0
    sys.exit(forge.main())
