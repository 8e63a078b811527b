[ "$CPUS" -le 4 ] || export UV_THREADPOOL_SIZE="$CPUS"
