# A node whose host has a domain is known by both.
case $(hostname) in
*.*) export RABBITMQ_USE_LONGNAME="${RABBITMQ_USE_LONGNAME:-true}" ;;
esac
