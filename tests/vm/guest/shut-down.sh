# The daemon's guardian is the first process of the machine, and somebody sends it SIGTERM.

use_disk

sleeper() {
    service "$1" "$2" <<-END
	trap 'echo $1 >>/disk/order; exit 0' TERM
	: >/tmp/$1.listens
	while :; do sleep 0.1; done
	END
}

checks() {
    comes answers answers
    sleeper database '[service]'
    sleeper web '[unit]
Requires = ["database"]
After = ["database"]
[service]'
    holds started d start web
    # It is started with its program, which has yet to say what it does when it is told to end.
    comes database-listens test -e /tmp/database.listens
    comes web-listens test -e /tmp/web.listens
    # Whoever is nobody's service does not keep the machine from its end.
    sleep 20001 &
    kill -TERM 1
}

checks &
exec diakonos daemon 2>/dev/console
