# An ordinary user to whom a part of the tree is delegated, as systemd does it for his session: the daemon makes way for
# the controllers, and its guardian with it.

mount -t cgroup2 cgroup2 /sys/fs/cgroup
BOX=/sys/fs/cgroup/box
holds controllers sh -c 'echo "+cpu +io +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control'
mkdir -p $BOX/inner /home/user
chown user $BOX $BOX/cgroup.procs $BOX/cgroup.subtree_control $BOX/inner $BOX/inner/cgroup.procs /home/user
export DIAKONOS_HOME=/home/user/home

d() {
    timeout 60 su user -c "diakonos $*"
}

says_machine() {
    d daemon-status | tee /tmp/status
    grep -q "$1" /tmp/status
}

in_box() {
    sh -c "echo 0 >$BOX/cgroup.procs && exec su user -c 'exec diakonos $*'"
}

group_of() {
    sed -n 's/^0:://p' "/proc/$1/cgroup"
}

failed_by_oom() {
    is_in_state "$1" failed && says "$1" 'oom-kill'
}

is_clean() {
    ls -d $BOX/*/
    same "$(ls -d $BOX/*/)" "$BOX/inner/"
}

printf '%s\n' '[service]' 'ExecStart = ["/bin/sh", "-c", "head -c 40m /dev/zero | tail"]' 'MemoryMax = "16M"' \
    'MemorySwapMax = 0' >/units/hungry.service
printf '%s\n' '[service]' 'ExecStart = "sleep 1000"' 'TasksMax = 5' >/units/quiet.service

in_box daemon 2>/tmp/foreground &
comes answers answers
holds able says_machine 'limits of groups: cpu, io, memory, pids'
holds daemon-in-leaf sh -c "grep -E '^0::/box/diakonos-[0-9a-f]+\.service/daemon$' /proc/$(daemon_pid)/cgroup"
holds guardian-too same "$(group_of "$(parent_of "$(daemon_pid)")")" "$(group_of "$(daemon_pid)")"
d start hungry quiet >/dev/null 2>&1
comes eater-is-killed failed_by_oom hungry
holds limit-holds grep -x 5 "$(field quiet cgroup)/pids.max"
QUIET=$(d pid quiet)

kill_daemon
comes successor has_successor "$PREDECESSOR"
holds successor-in-leaf same "$(group_of "$(daemon_pid)")" "$(group_of "$(parent_of "$(daemon_pid)")")"
holds able-again says_machine 'limits of groups: cpu, io, memory, pids'
holds quiet-lives same "$(d pid quiet)" "$QUIET"
holds set-by-user d set quiet TasksMax=6
holds new-limit grep -x 6 "$(field quiet cgroup)/pids.max"
holds upgraded d upgrade
holds able-after-upgrade says_machine 'limits of groups: cpu, io, memory, pids'
holds limit-after-upgrade grep -x 6 "$(field quiet cgroup)/pids.max"
holds ended d kill
comes box-is-clean is_clean

# Somebody else lives there, too: he is left alone.
sh -c "echo 0 >$BOX/cgroup.procs && exec sleep 1000" &
STRANGER=$!
stranger_is_in_box() {
    same "$(group_of "$STRANGER")" /box
}
comes stranger-moves-in stranger_is_in_box
in_box daemon 2>/tmp/foreground &
comes answers-again answers
holds says-why says_machine "no cpu, io, memory, pids: $BOX holds other processes than the daemon's, such as PID $STRANGER"
holds stranger-stays stranger_is_in_box
holds ended-again d kill
