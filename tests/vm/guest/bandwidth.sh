# A limit on what is read from a disk, and the share of disks, which a kernel may not know: then it is refused by name.

use_disk
mount -t cgroup2 cgroup2 /sys/fs/cgroup

unit() {
    printf '%s\n' "[service]" "$2" >"/disk/units/$1.service"
}

# A megabyte, past the page cache. Without a limit it takes a moment, with it four seconds.
takes_seconds() {
    BEGUN=$(cut -d. -f1 /proc/uptime)
    d start "$2" || return
    is_at_least $(($(cut -d. -f1 /proc/uptime) - BEGUN)) "$1"
}

is_set_or_refused() {
    if d start share >/tmp/share 2>&1; then
        grep -w 50 "$(field share cgroup)"/io.*weight
    else
        grep 'IOWeight' /tmp/share
    fi
}

READ='Type = "oneshot"
RemainAfterExit = true
ExecStart = "dd if=/dev/vda of=/dev/null bs=64k count=16 iflag=direct"'
unit slow "$READ
IOReadBandwidthMax = \"/dev/vda 256K\""
unit writer 'ExecStart = "sleep 1000"
IOWriteBandwidthMax = "/dev/vda 1M"'
unit share 'ExecStart = "sleep 1000"
IOWeight = 50'

start_daemon
holds reading-is-slowed takes_seconds 2 slow
holds started d start writer
GROUP=$(field writer cgroup)
holds writing-is-limited grep -w 'wbps=1048576' "$GROUP/io.max"
holds another-limit d set writer 'IOWriteBandwidthMax=/dev/vda 2M'
holds is-in-force grep -w 'wbps=2097152' "$GROUP/io.max"
kill_daemon
start_daemon
holds outlives-the-daemon says writer 'IOWriteBandwidthMax=/dev/vda 2M'
holds restarted d restart writer
holds file-is-the-truth grep -w 'wbps=1048576' "$(field writer cgroup)/io.max"
holds share is_set_or_refused
holds ended d kill
