# A node on a host with a domain name needs long names.
case $(hostname) in
*.*) export RABBITMQ_USE_LONGNAME="${RABBITMQ_USE_LONGNAME:-true}" ;;
esac
