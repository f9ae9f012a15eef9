# An ordinary user on a machine that gives him no cgroup.

. /guest/family.sh

mkdir -p /home/user
chown user /home/user
export DIAKONOS_HOME=/home/user/home

d() {
    timeout 60 su user -c "diakonos $*"
}

family
service plain '[service]
Restart = "on-failure"
RestartSec = 0.1' <<-'END'
	exec sleep 50001
END
holds started d start family plain
holds unable sh -c "su user -c 'diakonos daemon-status' | grep 'cgroups: no'"
comes all-there are_there
FAMILY=$(d pid family) PLAIN=$(d pid plain)
holds is-the-users same "$(stat -c %U "/proc/$PLAIN")" user

kill_daemon
kill_and_await "$PLAIN"
holds first-command d list
holds family-is-the-same same "$(d pid family)" "$FAMILY"
holds all-still-there are_there
comes plain-runs-again runs_anew plain "$PLAIN"
holds stopped d stop family
holds nobody-left has_copies 'sleep 4000' 0
holds ended d kill
holds nobody-at-all has_copies 'sleep 5000' 0
