# Creates the accounts and time zones of a new server, and the requested database.
if [ -z "${MARIADB_INITDB_SKIP_TZINFO:-}" ]; then
    mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo |
        docker_process_sql --dont-use-mysql-root-password --database=mysql
fi

if [ -n "${MARIADB_RANDOM_ROOT_PASSWORD:-}" ]; then
    # One character of each kind, to satisfy any password check.
    MARIADB_ROOT_PASSWORD="aA1-$(LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c 28)"
    MYSQL_ROOT_PASSWORD=$MARIADB_ROOT_PASSWORD
    export MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD
    echo "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
fi

# A string as an SQL literal.
literal() {
    text=$(printf '%s.' "$1" | sed -e 's/\\/\\\\/g' -e "s/'/\\\\'/g" -e '$!s/$/\\n/' | tr -d '\n')
    printf "'%s'" "${text%.}"
}
# `by PASSWORD HASH`: the authentication clause of an account.
by() {
    if [ -n "$2" ]; then
        printf "IDENTIFIED BY PASSWORD %s" "$(literal "$2")"
    else
        printf "IDENTIFIED BY %s" "$(literal "$1")"
    fi
}
# Not echo, because some shells interpret backslashes in it.
line() { printf '%s\n' "$1"; }
# shellcheck disable=SC2016 # The backticks are SQL's.
name() { printf '`%s`' "$(printf '%s' "$1" | sed 's/`/``/g')"; }

{
    line "SET @@SESSION.SQL_LOG_BIN=0;"
    line "SET @@SESSION.SQL_MODE=REPLACE(@@SESSION.SQL_MODE, 'NO_BACKSLASH_ESCAPES', '');"
    line "DROP USER IF EXISTS root@'127.0.0.1', root@'::1';"
    line "EXECUTE IMMEDIATE CONCAT('DROP USER IF EXISTS root@\\'', @@hostname, '\\'');"
    if [ -z "${MARIADB_ROOT_PASSWORD_HASH:-}" ]; then
        line "SET PASSWORD FOR root@localhost = PASSWORD($(literal "${MARIADB_ROOT_PASSWORD:-}"));"
    fi
    if [ "$MARIADB_ROOT_HOST" != localhost ]; then
        root="root@$(literal "$MARIADB_ROOT_HOST")"
        line "CREATE USER $root $(by "${MARIADB_ROOT_PASSWORD:-}" "${MARIADB_ROOT_PASSWORD_HASH:-}");"
        line "GRANT ALL ON *.* TO $root WITH GRANT OPTION;"
        line "GRANT PROXY ON ''@'%' TO $root WITH GRANT OPTION;"
    fi
    if [ -n "${MARIADB_MYSQL_LOCALHOST_USER:-}" ]; then
        line "CREATE USER mysql@localhost IDENTIFIED VIA unix_socket;"
        line "GRANT ${MARIADB_MYSQL_LOCALHOST_GRANTS:-USAGE} ON *.* TO mysql@localhost;"
    fi
    # The rest is also for replicas.
    line "SET @@SESSION.SQL_LOG_BIN=@@GLOBAL.LOG_BIN;"
    if [ -n "${MARIADB_DATABASE:-}" ]; then
        line "CREATE DATABASE IF NOT EXISTS $(name "$MARIADB_DATABASE");"
    fi
    if [ -n "${MARIADB_USER:-}" ] && [ -n "${MARIADB_PASSWORD:-}${MARIADB_PASSWORD_HASH:-}" ]; then
        user="$(literal "$MARIADB_USER")@$(literal "$MARIADB_USER_HOST")"
        line "CREATE USER $user $(by "${MARIADB_PASSWORD:-}" "${MARIADB_PASSWORD_HASH:-}");"
        if [ -n "${MARIADB_DATABASE:-}" ]; then
            line "GRANT ALL ON $(name "$MARIADB_DATABASE" | sed 's/_/\\_/g').* TO $user;"
        fi
    fi
    if [ -n "${MARIADB_MASTER_HOST:-}" ]; then
        line "CHANGE MASTER TO MASTER_HOST=$(literal "$MARIADB_MASTER_HOST"),"
        line "    MASTER_USER=$(literal "$MARIADB_REPLICATION_USER"),"
        line "    MASTER_PASSWORD=$(literal "$MARIADB_REPLICATION_PASSWORD"),"
        # shellcheck disable=SC2153 # The table declares it.
        line "    MASTER_PORT=$MARIADB_MASTER_PORT, MASTER_CONNECT_RETRY=10;"
    elif [ -n "${MARIADB_REPLICATION_USER:-}" ]; then
        user="$(literal "$MARIADB_REPLICATION_USER")@'%'"
        hash=${MARIADB_REPLICATION_PASSWORD_HASH:-}
        line "CREATE USER $user $(by "${MARIADB_REPLICATION_PASSWORD:-}" "$hash");"
        line "GRANT REPLICATION REPLICA ON *.* TO $user;"
    fi
} | MARIADB_DATABASE='' docker_process_sql --dont-use-mysql-root-password --database=mysql --binary-mode
