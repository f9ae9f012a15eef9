# Limits that hold: memory, processor time, tasks. Who is killed for want of memory is known by name.

mount -t cgroup2 cgroup2 /sys/fs/cgroup

# A program that takes as much memory as it is told to, in megabytes, and keeps it.
cat >/units/eat.sh <<'END'
head -c "$1m" /dev/zero | tail
END

says_machine() {
    d daemon-status | tee /tmp/status
    grep -q "$1" /tmp/status
}

unit() {
    printf '%s\n' "[service]" "$2" >"/units/$1.service"
}

failed_by_oom() {
    is_in_state "$1" failed && says "$1" 'oom-kill'
}

refuses() {
    diakonos "$@" 2>&1 | tee /tmp/refusal
    ! diakonos "$@"
}

# Milliseconds of processor time that a group has used.
cpu_ms() {
    USED=$(sed -n 's/^usage_usec //p' "$1/cpu.stat")
    echo $((USED / 1000))
}

# Milliseconds since the machine's start.
now_ms() {
    read -r NOW _ </proc/uptime
    echo "${NOW%.*}${NOW#*.}0"
}

# Between a twentieth and a third of one processor, over two seconds, or more where the host has no time for the machine.
is_slowed() {
    BEFORE=$(cpu_ms "$1") BEGUN=$(now_ms)
    sleep 2
    USED=$(($(cpu_ms "$1") - BEFORE)) PASSED=$(($(now_ms) - BEGUN))
    is_at_most $((USED * 100)) $((PASSED * 33)) && is_at_least $((USED * 100)) $((PASSED * 5))
}

unit hungry 'ExecStart = "/bin/sh /units/eat.sh 40"
MemoryMax = "16M"
MemorySwapMax = 0
OOMPolicy = "kill"
ExecStopPost = ["/bin/sh", "-c", "echo $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS >/tmp/hungry"]'
unit parent 'ExecStart = ["/bin/sh", "-c", "sh /units/eat.sh 40; sleep 1000"]
MemoryMax = "16M"
MemorySwapMax = 0'
unit robust 'ExecStart = ["/bin/sh", "-c", "sh /units/eat.sh 40; sleep 1000"]
MemoryMax = "16M"
MemorySwapMax = 0
OOMPolicy = "continue"'
unit killed 'ExecStart = "sleep 1000"
MemoryMax = "16M"'
unit busy 'ExecStart = ["/bin/sh", "-c", "while :; do :; done"]
CPUQuota = "20%"
CPUWeight = 50'
unit bomb 'ExecStart = ["/bin/sh", "-c", "f() { f | f & }; while :; do (f) 2>/dev/null; sleep 0.1; done"]
TasksMax = 20
TimeoutStopSec = 1'
unit greedy 'ExecStart = ["/bin/sh", "-c", "sleep 6; exec sh /units/eat.sh 30"]
RestartMemoryMax = "12M"'
cat >/units/divide.sh <<'END'
GROUP=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir "$GROUP/inner"
echo $$ >"$GROUP/inner/cgroup.procs"
echo +pids >"$GROUP/cgroup.subtree_control"
exec sleep 1000
END
unit divided 'ExecStart = "/bin/sh /units/divide.sh"
ExecReload = "true"
ExecStop = "true"
User = "user"
Delegate = true'
unit writer 'ExecStart = "sleep 1000"
IOWriteBandwidthMax = "/dev/nosuch 1M"'

start_daemon
holds able says_machine 'limits of groups: cpu, io, memory, pids'

d start hungry >/dev/null 2>&1
comes eater-is-killed failed_by_oom hungry
comes stop-post-knows grep -x 'oom-kill killed KILL' /tmp/hungry
holds eater-is-gone has_copies eat.sh 0

d start parent >/dev/null 2>&1
comes child-is-killed failed_by_oom parent
d start robust >/dev/null 2>&1
comes child-is-gone has_copies eat.sh 0
holds goes-on is_in_state robust running
holds robust-stops d stop robust

d start killed
kill -9 "$(d pid killed)"
comes only-a-signal is_in_state killed failed
holds is-no-oom-kill says killed 'killed by SIGKILL'

d start busy
GROUP=$(field busy cgroup)
holds quota-is-set grep -x '20000 100000' "$GROUP/cpu.max"
holds weight-is-set grep -x 50 "$GROUP/cpu.weight"
holds is-slowed is_slowed "$GROUP"
holds is-set d set busy CPUQuota=50% TasksMax=7
holds new-quota grep -x '50000 100000' "$GROUP/cpu.max"
holds new-tasks grep -x 7 "$GROUP/pids.max"
kill_daemon
start_daemon
holds quota-survives grep -x '50000 100000' "$GROUP/cpu.max"
holds says-quota says busy 'CPUQuota=50%'
holds restarted d restart busy
holds file-is-the-truth grep -x '20000 100000' "$(field busy cgroup)/cpu.max"
holds tasks-are-free grep -x max "$(field busy cgroup)/pids.max"
d stop busy

d start bomb
comes bomb-is-full grep -x -E '1[5-9]|20' "$(field bomb cgroup)/pids.current"
holds bomb-is-bounded grep -x 20 "$(field bomb cgroup)/pids.max"
holds limit-is-told says bomb 'TasksMax=20'
holds bomb-stops d stop bomb

d start greedy
MAIN=$(d pid greedy)
comes restarted-for-memory runs_anew greedy "$MAIN"
holds why says greedy 'RestartMemoryMax'
holds greedy-stops d stop greedy

holds delegated d start divided
holds owner same "$(stat -c %u "$(field divided cgroup)/cgroup.procs")" 1000
comes divided grep -w pids "$(field divided cgroup)/cgroup.subtree_control"
holds command-beside d reload divided
holds divided-restarts d restart divided
comes divided-again grep -w pids "$(field divided cgroup)/cgroup.subtree_control"
GROUP=$(field divided cgroup)
holds divided-stops d stop divided
comes division-is-gone is_absent "$GROUP"

holds bad-limit refuses start writer
holds says-limit grep 'IOWriteBandwidthMax' /tmp/refusal

holds ended d kill
