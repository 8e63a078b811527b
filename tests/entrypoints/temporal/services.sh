SERVICES=$(printf '%s' "$SERVICES" | tr ':,' '  ')
for service in $SERVICES; do export SERVICE_FLAGS="${SERVICE_FLAGS:-} --service=$service"; done
