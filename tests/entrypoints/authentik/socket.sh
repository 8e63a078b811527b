group=$(stat -c %g /var/run/docker.sock)
getent group "$group" >/dev/null || groupadd -f -g "$group" docker
usermod -a -G "$group" authentik
