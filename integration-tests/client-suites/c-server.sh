#!/usr/bin/env bash
# In place of the scripts by which the tests of the client in C start and stop servers.
#   c-server.sh startClean|start|startCleanReadOnly|startRequireSASLAuth [JAAS] [READONLY]|stop      as tests/zkServer.sh
#   c-server.sh start|stop|status CONFIG                                                             as bin/zkServer.sh
set -euo pipefail
# Maximum wait for a start or an end, in twentieths of a second.
patience=600

# Starts a server with a configuration and properties of Java.
start() {
    local config=$1
    shift
    java "$@" Main "$config" >"$config.log" 2>&1 </dev/null &
    echo $! >"$config.pid"
}

# Returns when a server serves.
ready() {
    local state=$1
    for ((wait = 0; wait < patience; wait++)); do
        ! grep -q '^listening on ' "$state.log" || return 0
        kill -0 "$(cat "$state.pid")" 2>/dev/null || break
        sleep 0.05
    done
    echo "c-server.sh: the server with $1 does not start" >&2
    return 1
}

# Stops the server with a configuration if there is one, and returns when its port refuses.
stop() {
    local pid
    [ -e "$1.pid" ] || return 0
    pid=$(cat "$1.pid")
    rm "$1.pid"
    kill "$pid" 2>/dev/null || return 0
    for ((wait = 0; wait < patience; wait++)); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.05
    done
    echo "c-server.sh: the server with $1 does not end" >&2
    return 1
}

case ${2:-} in
*.conf)
    if [[ $1 != startRequireSASLAuth ]]; then
        case $1 in
        start)
            # shellcheck disable=SC2086
            start "$2" ${SERVER_JVMFLAGS:-}
            ;;
        stop) stop "$2" ;;
        status)
            exec 3<>"/dev/tcp/127.0.0.1/$(sed -n 's/^clientPort=//p' "$2")" && printf srvr >&3 && grep '^Mode: ' <&3
            ;;
        esac
        exit
    fi
    ;;
esac

config=$C_SUITE_WORK/zoo.cfg
stop "$config"
[ "$1" != stop ] || exit 0
properties=(-Dzookeeper.extendedTypesEnabled=true -Dznode.container.checkIntervalMs=100)
read_only=
case $1 in
startCleanReadOnly) read_only=true ;;
startRequireSASLAuth)
    properties+=(-Dzookeeper.sessionRequireClientSASLAuth=true)
    properties+=(-Dzookeeper.authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider)
    [ -z "${2:-}" ] || properties+=("-Djava.security.auth.login.config=$PWD/$2")
    read_only=${3:-}
    ;;
esac
case $1 in
startClean | startCleanReadOnly) rm -rf "$C_SUITE_WORK/zkdata" ;;
esac
mkdir -p "$C_SUITE_WORK/zkdata"
port=$ZOOKEEPER_PORT_OFFSET
sed "s#TMPDIR#$C_SUITE_WORK#g; s#CERTDIR#$C_SUITE_CERTS#g; s#MAXCLIENTCONNECTIONS#${ZKMAXCNXNS:-100}#g; s#CLIENTPORT#$port#g" \
    "$C_SUITE_CONFIG" >"$config"
if [ -n "$read_only" ]; then
    # Of three servers only this one is started.
    for number in 1 2 3; do
        echo "server.$number=localhost:$((port + 5 + number)):$((port + 8 + number))" >>"$config"
    done
    echo 1 >"$C_SUITE_WORK/zkdata/myid"
    properties+=(-Dreadonlymode.enabled=true)
fi
start "$config" "${properties[@]}"
ready "$config"
