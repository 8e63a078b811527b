# Files must be writable for the next user, too: every user has to be in group 0.
if [ "$(id -g)" != 0 ]; then
    if [ "$(id -u)" != 50000 ]; then
        echo "this image runs as any user of group 0, such as --user $(id -u):0, and not as $(id -u):$(id -g)"
        exit 1
    fi
    echo "warning: run this image as 50000:0, so that another user of group 0 can take over its files"
fi
