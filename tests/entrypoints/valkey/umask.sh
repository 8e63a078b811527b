[ "$(umask)" != 0022 ] || umask 0077
