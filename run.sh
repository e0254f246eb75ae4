#!/bin/sh
# Start BAT OS: `./run.sh --help` says what else it does.
#
# Only finds a Python. bat_os/cli/entry.py does the rest: it makes .venv, installs what is
# missing, starts the watchdog and becomes the client.
set -eu
unset CDPATH PYTHONHOME

script=$0
while [ -L "$script" ]; do
    target=$(readlink "$script")
    case $target in
        /*) script=$target ;;
        *) script=$(dirname "$script")/$target ;;
    esac
done
here=$(cd "$(dirname "$script")" && pwd -P)

version_of() {
    "$1" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

hand_over() {
    python=$1
    shift
    exec "$python" -I -c 'import sys; sys.path.insert(0, sys.argv.pop(1))
from bat_os.cli.entry import main; sys.exit(main())' "$here" "$@"
}

# The usual case: .venv is there, complete, and its Python is still the one it was made with.
ours=$here/.venv/bin/python
if [ -x "$ours" ] && [ -r "$here/.venv/.setup/venv" ]; then
    read -r expected <"$here/.venv/.setup/venv" || expected=none
    if [ "$(version_of "$ours")" = "$expected" ]; then
        hand_over "$ours" "$@"
    fi
fi

if [ -n "${BATOS_PYTHON:-}" ]; then
    set -- "$BATOS_PYTHON" -- "$@"
else
    set -- python3.13 python3.12 python3.11 python3 python -- "$@"
fi
seen=
while [ "$1" != -- ]; do
    candidate=$1
    shift
    version=$(version_of "$candidate")
    case $version in
        3.1[1-9] | 3.[2-9][0-9])
            if "$candidate" -I -c 'import ensurepip, venv' 2>/dev/null; then
                while [ "$1" != -- ]; do shift; done
                shift
                hand_over "$candidate" "$@"
            fi
            seen="$seen
  $candidate is Python $version, but has no venv module (Debian, Ubuntu: apt install python3-venv)"
            ;;
        [0-9]*)
            seen="$seen
  $candidate is Python $version"
            ;;
        *)
            if [ -n "${BATOS_PYTHON:-}" ]; then
                seen="$seen
  $candidate, which BATOS_PYTHON names, does not run"
            fi
            ;;
    esac
done

cat >&2 <<END
BAT OS needs Python 3.11 or newer, with its venv module.
Found:${seen:- no Python at all}
Install one, or name one: BATOS_PYTHON=/path/to/python3 ./run.sh
END
exit 1
