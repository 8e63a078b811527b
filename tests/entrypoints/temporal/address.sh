own_address() { getent hosts "$(hostname)" | awk '{ print $1; exit }'; }
export BIND_ON_IP="${BIND_ON_IP:-$(own_address)}"
case $BIND_ON_IP in 0.0.0.0 | ::0) export TEMPORAL_BROADCAST_ADDRESS="${TEMPORAL_BROADCAST_ADDRESS:-$(own_address)}" ;; esac
case $BIND_ON_IP in *:*) address="[$BIND_ON_IP]:7233" ;; *) address="$BIND_ON_IP:7233" ;; esac
export TEMPORAL_ADDRESS="${TEMPORAL_ADDRESS:-$address}"
