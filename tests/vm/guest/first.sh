# The guardian is the first process of the machine: everybody's parent in the end.

. /guest/family.sh

no_zombies() {
    ! ps -o stat,args | grep '^Z'
}

checks() {
    comes answers answers
    holds child-of-the-first same "$(parent_of "$(daemon_pid)")" 1
    family
    holds started d start family
    comes all-there are_there
    # An orphan that was never a service's.
    (sleep 0.2 &)
    comes orphans-are-reaped no_zombies
    FAMILY=$(d pid family)
    kill_daemon
    comes successor has_successor "$PREDECESSOR"
    holds child-of-the-first-again same "$(parent_of "$(daemon_pid)")" 1
    holds family-is-the-same same "$(d pid family)" "$FAMILY"
    holds all-still-there are_there
    holds stopped d stop family
    holds nobody-left has_copies 'sleep 4000' 0
    comes no-zombies no_zombies
    finish
}

mount -t cgroup2 cgroup2 /sys/fs/cgroup
checks &
exec diakonos daemon 2>/tmp/foreground
