# Name servers in the form of nginx's `resolver`: IPv6 addresses in brackets.
NGINX_LOCAL_RESOLVERS=
while read -r key address _; do
    case $key:$address in
    nameserver:*:*) address="[$address]" ;;
    nameserver:*) ;;
    *) continue ;;
    esac
    NGINX_LOCAL_RESOLVERS="${NGINX_LOCAL_RESOLVERS:+$NGINX_LOCAL_RESOLVERS }$address"
done </etc/resolv.conf
export NGINX_LOCAL_RESOLVERS
