# The daemon is the first process of the machine: everybody's parent in the end.

. /guest/family.sh

no_zombies() {
    ! ps -o stat,args | grep '^Z'
}

checks() {
    comes answers answers
    holds it-is-the-first same "$(d daemon-status --json | sed -n 's/^ *"pid": \([0-9]*\),/\1/p')" "$1"
    family
    holds started d start family
    comes all-there are_there
    # An orphan that was never a service's.
    (sleep 0.2 &)
    comes orphans-are-reaped no_zombies
    kill -9 1
    holds stopped d stop family
    holds nobody-left has_copies 'sleep 4000' 0
    holds no-zombies no_zombies
    finish
}

mount -t cgroup2 cgroup2 /sys/fs/cgroup
checks 1 &
exec diakonos daemon 2>/tmp/foreground
