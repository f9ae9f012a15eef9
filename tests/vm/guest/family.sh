# Sourced by other cases: a service with relatives who leave the family in every way, and who count as its own.

family() {
    service family '[service]
TimeoutStopSec = 1' <<-'END'
	trap '' TERM
	setsid sleep 40001 &
	env -i setsid sleep 40002 &
	(setsid sh -c 'sleep 40003 & exec true' &)
	(env -i setsid sh -c 'sleep 40004 & exec true' &)
	while :; do sleep 40005; done
	END
}

RELATIVES="40001 40002 40003 40004 40005"

# Each of them is what it is to be: a shell that is about to begin it has its words, too.
are_there() {
    for relative in $RELATIVES; do
        has_copies "^sleep $relative" 1 || return
    done
}
