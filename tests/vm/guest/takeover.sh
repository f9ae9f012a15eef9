# A daemon is killed on a kernel that tells processes apart by their start times only, and that forgets how a process
# ended which is not our child. It has no guardian: the script starts the successor.

wrote() {
    cat /tmp/count
    [ "$(cat /tmp/count)" -ge "$1" ]
}

has_run() {
    wc -l "/tmp/$1.runs"
    [ "$(wc -l <"/tmp/$1.runs")" -ge "$2" ]
}

# The log has the lines 1 to what was written last, each once and in order.
log_is_whole() {
    cp "$DIAKONOS_HOME/logs/writer.log" /tmp/writer.log
    tail -n 3 /tmp/writer.log
    cat /tmp/count
    awk '$0 != "line " NR { print "line", NR, "is:", $0; exit 1 }' /tmp/writer.log &&
        same "$(wc -l </tmp/writer.log)" "$(cat /tmp/count)"
}

service writer '[service]
KillMode = "mixed"' <<-'END'
	trap 'ENDS=yes' TERM
	n=0
	while [ -z "$ENDS" ]; do
	    n=$((n + 1))
	    echo "line $n"
	    echo "$n" >/tmp/count
	    sleep 0.1
	done
END
printf '[unit]\nStartLimitIntervalSec = 0\n' >/units/head
service crash "$(cat /units/head)
[service]
Restart = \"always\"
RestartSec = 0.2" <<-'END'
	echo run >>/tmp/crash.runs
	exit 3
END
service prepare '[service]
Type = "oneshot"
RemainAfterExit = true' <<-'END'
	echo run >>/tmp/prepare.runs
END
service late '[service]
Restart = "on-failure"
RestartSec = 0.1' <<-'END'
	exec sleep 10001
END
service fragile '[service]' <<-'END'
	exec sleep 10002
END
service halted '[service]' <<-'END'
	exec sleep 10003
END
service patient '[service]
Restart = "always"
RestartSec = 4' <<-'END'
	echo run >>/tmp/patient.runs
END
service stranger '[service]' <<-'END'
	read -r line </tmp/go
	exit 7
END
mkfifo /tmp/go
rm /units/head

start_daemon
holds started d start writer prepare late fragile halted stranger
d start --no-wait crash
holds stopped-by-hand d stop halted
d start --no-wait patient
comes crash-loops has_run crash 2
comes patient-waits is_in_state patient restarting
comes writer-writes wrote 10
WRITER=$(d pid writer) LATE=$(d pid late) FRAGILE=$(d pid fragile) STRANGER=$(d pid stranger)
RESTARTS=$(field crash restarts)

kill_daemon
kill_and_await "$LATE"
kill_and_await "$FRAGILE"
decoy "$LATE"
holds decoy-has-the-number same "$DECOY" "$LATE"
RUNS=$(wc -l </tmp/crash.runs)
COUNT=$(cat /tmp/count)
comes writer-writes-unread wrote $((COUNT + 10))
# No span of time is measured by the calendar.
date -s '2001-02-03 04:05:06' >/tmp/said

start_daemon
holds successor differs "$(daemon_pid)" "$PREDECESSOR"
holds writer-is-the-same same "$(d pid writer)" "$WRITER"
UPTIME_MS=$(field writer uptime_ms)
read -r MACHINE _ </proc/uptime
holds uptime-goes-on is_at_most "$UPTIME_MS" $(((${MACHINE%.*} + 1) * 1000))
comes one-writer has_copies /units/writer.sh 1
holds stranger-is-the-same same "$(d pid stranger)" "$STRANGER"
comes patient-runs-again has_run patient 2
comes late-runs-again runs_anew late "$LATE"
comes one-late has_copies 10001 1
comes fragile-failed is_in_state fragile failed
holds fragile-says-unknown says fragile 'status unknown'
holds halted-stays-stopped is_in_state halted stopped
holds prepare-stays is_in_state prepare exited
holds prepare-ran-once same "$(wc -l </tmp/prepare.runs)" 1
comes crash-loops-on has_run crash $((RUNS + 2))
holds restarts-count-on is_at_least "$(field crash restarts)" $((RESTARTS + 1))
echo now >/tmp/go
comes stranger-ends is_in_state stranger failed
holds stranger-says-how says stranger 'exit code 7|status unknown'
holds late-stops d stop late
holds nothing-left-of-late has_copies 10001 0
holds decoy-lives lives "$DECOY"

kill_daemon
start_daemon
holds writer-is-the-same-again same "$(d pid writer)" "$WRITER"
holds writer-stops d stop writer
holds log-is-whole log_is_whole
holds daemon-ends d kill
holds nothing-runs has_copies /units/ 0
holds decoy-is-left lives "$DECOY"
