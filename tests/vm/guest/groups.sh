# Services in cgroups of their own, in the root of the tree, where the controllers are.

. /guest/family.sh

has_members() {
    cat "$1/cgroup.procs"
    is_at_least "$(wc -l <"$1/cgroup.procs")" "$2"
}

no_groups_left() {
    ls -d /sys/fs/cgroup/*/ || return 0
    false
}

mount -t cgroup2 cgroup2 /sys/fs/cgroup
holds controllers sh -c 'echo "+cpu +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control'
family
service stubborn '[service]
Restart = "always"
RestartSec = 0.1' <<-'END'
	setsid sleep 40009 &
	exec sleep 40008
END

start_daemon
holds able sh -c "diakonos daemon-status | grep 'cgroups: yes, under /sys/fs/cgroup/'"
holds child-of-the-first same "$(parent_of "$(daemon_pid)")" 1
holds started d start family stubborn
GROUP=$(field family cgroup)
comes all-there are_there
holds all-in-the-group has_members "$GROUP" 6
holds group-has-limits grep -w memory "$(dirname "$GROUP")/cgroup.controllers"
MAIN=$(d pid stubborn)
kill -9 "$MAIN"
comes restarted runs_anew stubborn "$MAIN"
comes rest-of-it-is-gone has_copies 40009 1

kill_daemon
start_daemon
holds same-group same "$(field family cgroup)" "$GROUP"
holds all-still-there are_there
holds stopped d stop family
holds nobody-left has_copies 'sleep 4000[1-7]' 0
holds group-gone is_absent "$GROUP"
holds ended d kill
holds nobody-at-all has_copies 'sleep 4000' 0
holds no-groups no_groups_left
