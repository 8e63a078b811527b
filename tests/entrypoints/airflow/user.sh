unset PIP_USER
[ "$(id -g)" = 0 ] || [ "$(id -u)" = 50000 ] || { echo "the group of the container must be 0" >&2 && exit 1; }
whoami >/dev/null 2>&1 || export HOME="$AIRFLOW_USER_HOME_DIR"
[ "$(id -u)" != 0 ] || export PYTHONPATH="$AIRFLOW_USER_HOME_DIR/.local/lib/python$(python --version |
    sed 's/^[^ ]* \([0-9]*\.[0-9]*\).*/\1/')/site-packages:${PYTHONPATH:-}"
