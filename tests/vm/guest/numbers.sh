# Hardly a hundred numbers for all processes, so that one that a service had is somebody else's within the second. There
# are no cgroups, so that the daemon looks for the services' processes by itself.

. /guest/family.sh

# Strangers, none of whom belongs to a service, and who note each signal that they get.
strangers() {
    STRANGERS=
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        sh -c 'trap "echo $$ >>/tmp/hits" HUP INT QUIT TERM USR1 USR2 CONT; while :; do read -r order </tmp/never; done' &
        STRANGERS="$STRANGERS $!"
        echo "$!" >>/tmp/strangers
    done
}

# All of them live; then they make room for others.
dismiss() {
    for stranger in $STRANGERS; do
        read -r STAT <"/proc/$stranger/stat"
        case "$STAT" in *") Z "*) echo "$stranger is dead: $STAT" >>/tmp/hits ;; esac
        kill -9 "$stranger"
        wait "$stranger" 2>/tmp/said
    done
}

numbers_come_again() {
    sort -u /tmp/services >/tmp/sorted
    is_at_least "$(sort -u /tmp/strangers | grep -c -x -F -f /tmp/sorted)" 15
}

# A successor may have its predecessor's number.
daemons_until_now() {
    grep -c 'ready, PID' "$DIAKONOS_HOME/daemon.log"
}

another_serves() {
    is_at_least "$(daemons_until_now)" $((BEGUN + 1)) && answers
}

round() {
    strangers
    case $1 in
        0) d restart family ;;
        1)
            BEGUN=$(daemons_until_now)
            kill -9 "$(daemon_pid)" "$(d pid crasher-1)"
            await another_serves
            ;;
        2) d stop family && d start family ;;
        3) d signal USR1 obedient ;;
        4) d restart crasher-1 crasher-2 obedient ;;
    esac || echo "round $1 failed" >>/tmp/hits
    dismiss
}

mkfifo /tmp/never
sleep 66666 <>/tmp/never &
: >/tmp/hits
echo 380 >/proc/sys/kernel/pid_max
# From here on the numbers from 300 go round.
echo 375 >/proc/sys/kernel/ns_last_pid
family
service obedient '[service]' <<-'END'
	trap : USR1
	echo $$ >>/tmp/services
	while :; do sleep 0.2; done
END
for number in 1 2; do
    # Each run leaves somebody behind, who is looked for and killed.
    service "crasher-$number" '[unit]
StartLimitIntervalSec = 0
[service]
Restart = "always"
RestartSec = 0.3' <<-'END'
	echo $$ >>/tmp/services
	setsid sleep 30 &
	echo $! >>/tmp/services
	env -i setsid sh -c 'echo $$ >>/tmp/services; exec sleep 30' &
	sleep 0.2
	exit 1
	END
done

holds started d start family obedient crasher-1 crasher-2
for kind in 0 1 2 3 4; do
    round "$kind"
done
# How many do depends on how quick the machine is: some more rounds, if it takes them.
come_again_or_go_round() {
    numbers_come_again || { round 4 && return 1; }
}
comes numbers-come-again come_again_or_go_round
holds nobody-else-was-signalled same "$(cat /tmp/hits)" ''

# A service says that its main process is one that it is not.
strangers
STRANGER=${STRANGERS##* }
service liar "[service]
Type = \"forking\"
PIDFile = \"/tmp/liar.pid\"
TimeoutStartSec = 2" <<-END
	echo $STRANGER >/tmp/liar.pid
	sleep 20002 &
END
d start liar
d stop liar
dismiss
holds no-stranger-is-believed same "$(cat /tmp/hits)" ''
strangers
STRANGER=${STRANGERS##* }
await grep -q 'SigCgt:.*[1-9a-f]' "/proc/$STRANGER/status"
kill -USR1 "$STRANGER"
comes each-signal-is-noted grep -x "$STRANGER" /tmp/hits
dismiss
holds ended d kill
holds nobody-left has_copies 'sleep 4000' 0
