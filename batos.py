"""Start the kernel, or send one verb to a running one."""

from bat_os.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
