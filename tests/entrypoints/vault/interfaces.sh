# set_address NAME INTERFACE URL: exports the URL with the address of the interface as its host
set_address() {
    address=$(ip addr show dev "$2" | awk '$1 == "inet" { sub("/.*", "", $2); print $2; exit }')
    export "$1=$(printf '%s' "$3" | sed "s|://.*:|://$address:|")"
}
redirect=${VAULT_REDIRECT_ADDR:-http://0.0.0.0:8200} cluster=${VAULT_CLUSTER_ADDR:-https://0.0.0.0:8201}
[ -z "${VAULT_REDIRECT_INTERFACE:-}" ] || set_address VAULT_REDIRECT_ADDR "$VAULT_REDIRECT_INTERFACE" "$redirect"
[ -z "${VAULT_CLUSTER_INTERFACE:-}" ] || set_address VAULT_CLUSTER_ADDR "$VAULT_CLUSTER_INTERFACE" "$cluster"
