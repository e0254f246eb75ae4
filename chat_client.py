"""Talk to the kernel: a chat, or one sentence."""

from bat_os.cli.chat import main

if __name__ == "__main__":
    raise SystemExit(main())
