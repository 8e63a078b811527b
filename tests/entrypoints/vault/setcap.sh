vault=$(readlink -f "$(command -v vault)")
setcap cap_ipc_lock=+ep "$vault"
vault -version >/dev/null 2>&1 || setcap cap_ipc_lock=-ep "$vault"
