#!/bin/busybox sh
# The first process of the virtual machine. The kernel has put the name of the case's script into $script.

/bin/busybox mkdir -p /dev /disk /proc /root /sys /tmp /units
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root DIAKONOS_HOME=/root/home DIAKONOS_SERVICE_DIR=/units
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
ln -s /proc/self/fd /dev/fd
# Off the console, so that the test reads its lines as they are.
dmesg -n 1

# The program, which has to answer.
d() {
    timeout 60 diakonos "$@"
}

# A home and a folder of units that outlive the machine.
use_disk() {
    for MODULE in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk; do
        insmod "/modules/$MODULE.ko"
    done
    await test -b /dev/vda
    mount -t ext4 /dev/vda /disk
    mkdir -p /disk/units
    export DIAKONOS_HOME=/disk/home DIAKONOS_SERVICE_DIR=/disk/units
}

# A daemon that has no guardian.
start_daemon() {
    setsid diakonos daemon --no-guardian 2>>/tmp/foreground &
    await answers >/tmp/said 2>&1 || echo "no daemon answers"
}

kill_daemon() {
    PREDECESSOR=$(daemon_pid)
    kill_and_await "$PREDECESSOR"
}

kill_and_await() {
    kill -9 "$1"
    await is_gone "$1" || echo "PID $1 does not die"
}

# holds NAME COMMAND…: the command is true now.
holds() {
    CHECK=$1
    shift
    if "$@" >/tmp/said 2>&1; then
        echo "CHECK $CHECK ok"
    else
        fail "$*"
    fi
}

# comes NAME COMMAND…: the command becomes true.
comes() {
    CHECK=$1
    shift
    if await "$@" >/tmp/said 2>&1; then
        echo "CHECK $CHECK ok"
    else
        fail "$*"
    fi
}

# Looks again and again for at most 30 seconds; false when nothing comes of it.
await() {
    TRIES=0
    until "$@"; do
        TRIES=$((TRIES + 1))
        [ "$TRIES" -lt 300 ] || return 1
        sleep 0.1
    done
}

fail() {
    echo "CHECK $CHECK failed: $*: $(tail -n 20 /tmp/said | tr '\n' '|')"
    FAILED=yes
}

# service NAME KEYS: a service that runs the script on standard input.
service() {
    cat >"$DIAKONOS_SERVICE_DIR/$1.sh"
    printf '%s\n' "$2" "ExecStart = [\"/bin/sh\", \"$DIAKONOS_SERVICE_DIR/$1.sh\"]" >"$DIAKONOS_SERVICE_DIR/$1.service"
}

same() {
    echo "is: $1, should be: $2"
    [ "$1" = "$2" ]
}

is_at_least() {
    echo "is: $1, at least: $2"
    [ "$1" -ge "$2" ]
}

is_at_most() {
    echo "is: $1, at most: $2"
    [ "$1" -le "$2" ]
}

differs() {
    echo "both are: $1"
    [ "$1" != "$2" ]
}

# field NAME KEY: a number or a text from a service's status.
field() {
    d status --json "$1" | sed -n "s/^    \"$2\": \"\{0,1\}\(.*[^\",]\)\"\{0,1\},\$/\1/p"
}

is_in_state() {
    same "$(field "$1" state)" "$2"
}

# runs_anew NAME PID: it runs, and its main process is not this one, of whose end the daemon may not know yet.
runs_anew() {
    NOW=$(d pid "$1") && [ -n "$NOW" ] && differs "$NOW" "$2" && is_in_state "$1" running
}

says() {
    d status "$1" | tee /tmp/status
    grep -q -E "$2" /tmp/status
}

is_absent() {
    ! [ -e "$1" ]
}

is_gone() {
    is_absent "/proc/$1"
}

lives() {
    STAT=$(cat "/proc/$1/stat") || return 1
    echo "$STAT"
    case "$STAT" in *") Z "*) return 1 ;; esac
}

# copies TEXT: how many processes have this in their command line.
copies() {
    ps -o args | grep -e "$1" | grep -v -c -e grep
}

# A number that is not 0 is awaited by whoever asks: a shell that forks has two copies until its child is another program.
has_copies() {
    same "$(copies "$1")" "$2"
}

# The number alone: the file is as long as the longest one.
daemon_pid() {
    read -r HOLDER <"$DIAKONOS_HOME/lock"
    echo "$HOLDER"
}

answers() {
    d daemon-status | tee /tmp/status
    grep -q 'the daemon runs' /tmp/status
}

parent_of() {
    cut -d ' ' -f 4 "/proc/$1/stat"
}

# has_successor PID: there is a daemon, and it is not this one.
has_successor() {
    differs "$(daemon_pid)" "$1" && answers
}

# A process with this number, which nobody keeps. $DECOY is the number that it got.
decoy() {
    DRAWS=0
    while :; do
        # A service's child may have it, for longer than all tries last.
        await is_gone "$1"
        echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid
        sleep 77777 &
        DECOY=$!
        DRAWS=$((DRAWS + 1))
        [ "$DECOY" != "$1" ] && [ "$DRAWS" -lt 50 ] || return 0
        # A service's child was faster, and has the number for a moment.
        kill -9 "$DECOY"
        wait "$DECOY" 2>/dev/null
    done
}

# The end of the machine. If something failed, it tells what the daemon said.
finish() {
    if [ -n "$FAILED" ]; then
        echo "the daemon said:"
        cat "$DIAKONOS_HOME/daemon.log" /tmp/foreground
        d list
        ps -o pid,ppid,stat,args
    fi
    reboot -f
}

# shellcheck disable=SC1090 # It is known at boot.
. "/guest/${script:?}.sh"
finish
