# `up` as the first process of a container that its user makes.

contain() {
    unshare -m -p -f --mount-proc diakonos up --exit-with "$@" >/tmp/output 2>/tmp/foreground
}

ends_with() {
    WANTED=$1
    shift
    contain "$@"
    same "$?" "$WANTED"
}

printed() {
    cat /tmp/output
    grep -q -x "$1" /tmp/output
}

# The first process of the container, as it is numbered outside.
first_process() {
    FIRST=$(ps -o pid,args | grep -e 'diakonos up' | grep -v -e unshare -e grep | sed 's/^ *//' | cut -d ' ' -f 1)
    [ -n "$FIRST" ]
}

child_of() {
    cut -d ' ' -f 1 "/proc/$1/task/$1/children"
}

service job '[service]' <<-'END'
	echo "the job is done"
	exit 7
END
service web '[service]' <<-'END'
	trap 'echo "a hangup"' HUP
	echo serving
	while :; do sleep 0.1; done
END

holds job-ends ends_with 7 job job
holds job-printed printed 'the job is done'

contain web web &
CONTAINER=$!
comes web-serves printed serving
holds first first_process
kill -HUP "$FIRST"
comes handed-on printed 'a hangup'
# An orphan in it, as `docker exec` leaves them.
holds orphan-made nsenter -t "$FIRST" -m -p sh -c '(sleep 0.2 &)'
WEB=$(d pid web)
GUARDIAN=$(child_of "$FIRST")
DAEMON=$(child_of "$GUARDIAN")
kill -9 "$GUARDIAN" "$DAEMON"
comes daemon-is-reaped is_gone "$DAEMON"
comes guardian-is-reaped is_gone "$GUARDIAN"
comes successor answers
holds web-is-the-same same "$(d pid web)" "$WEB"
comes orphan-is-reaped has_copies '\[sleep\]' 0
kill -TERM "$FIRST"
wait "$CONTAINER"
holds ended-well same "$?" 0
holds nobody-left has_copies /units/web.sh 0
holds daemon-ended is_absent "$DIAKONOS_HOME/control.sock"
