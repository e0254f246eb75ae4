"""Talk to the kernel: a chat, or one sentence."""

from bat_os.cli.main import chat

if __name__ == "__main__":
    raise SystemExit(chat())
