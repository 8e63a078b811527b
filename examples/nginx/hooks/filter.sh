# NGINX_ENVSUBST_FILTER is a regular expression, and `only` takes patterns. The usual filters, for the beginning or
# the end of a name, can be translated.
NGINX_ENVSUBST_ONLY=$NGINX_ENVSUBST_FILTER
case $NGINX_ENVSUBST_ONLY in
^*) NGINX_ENVSUBST_ONLY=${NGINX_ENVSUBST_ONLY#^} ;;
*) NGINX_ENVSUBST_ONLY="*$NGINX_ENVSUBST_ONLY" ;;
esac
case $NGINX_ENVSUBST_ONLY in
*\$) NGINX_ENVSUBST_ONLY=${NGINX_ENVSUBST_ONLY%\$} ;;
*) NGINX_ENVSUBST_ONLY="$NGINX_ENVSUBST_ONLY*" ;;
esac
case $NGINX_ENVSUBST_ONLY in
*[!A-Za-z0-9_*]*)
    echo "NGINX_ENVSUBST_FILTER is \`$NGINX_ENVSUBST_FILTER\`, and only a name with ^ before or \$ after it is understood"
    exit 1
    ;;
esac
export NGINX_ENVSUBST_ONLY
