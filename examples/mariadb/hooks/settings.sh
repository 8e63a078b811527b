# Asks the server for its effective settings. An invalid configuration ends the run here.
shift
if ! settings=$(mariadbd "$@" --verbose --help 2>/dev/null); then
    mariadbd "$@" --verbose --help >/dev/null
fi
setting() { printf '%s\n' "$settings" | sed -n "s/^$1  *//p" | tail -n 1; }

DATADIR=$(setting datadir)
DATADIR=${DATADIR%/}
SOCKET=$(setting socket)
PORT=$(setting port)
export DATADIR SOCKET PORT
