# A daemon dies and is succeeded by itself. What it had not read is not lost: its guardian holds the pipes, and reaps
# nobody while there is no daemon.

orders() {
    mkfifo "/tmp/$1"
    # Whoever reads never finds it closed.
    sleep 66666 <>"/tmp/$1" &
}

is_dead() {
    ! lives "$1"
}

has_lines() {
    d logs -n all "$1" | tee /tmp/lines
    same "$(grep -c "$2" /tmp/lines)" "$3"
}

orders speak
orders crash
service speaker '[service]' <<-'END'
	read -r line </tmp/speak
	echo "the last words"
	exit 7
END
service crasher '[service]
Restart = "on-failure"
RestartSec = 0.1' <<-'END'
	read -r line </tmp/crash
	kill -SEGV $$
END
service steady '[service]' <<-'END'
	exec sleep 60001
END

holds started d start speaker crasher steady
DAEMON=$(daemon_pid) GUARDIAN=$(parent_of "$(daemon_pid)")
holds guarded differs "$GUARDIAN" 1
SPEAKER=$(d pid speaker) CRASHER=$(d pid crasher) STEADY=$(d pid steady)

# It cannot read any more, and then it dies.
kill -STOP "$DAEMON"
echo now >/tmp/speak
comes speaker-is-dead is_dead "$SPEAKER"
echo now >/tmp/crash
comes crasher-is-dead is_dead "$CRASHER"
kill -9 "$DAEMON"
comes successor has_successor "$DAEMON"
holds same-guardian same "$(parent_of "$(daemon_pid)")" "$GUARDIAN"
holds steady-is-the-same same "$(d pid steady)" "$STEADY"
comes speaker-failed is_in_state speaker failed
holds speaker-says-how says speaker 'exit code 7'
holds last-words-once has_lines speaker 'the last words' 1
comes crasher-runs-again runs_anew crasher "$CRASHER"
comes one-crasher has_copies crasher.sh 1

DAEMON=$(daemon_pid)
kill_and_await "$GUARDIAN"
holds daemon-goes-on d list
holds same-daemon same "$(daemon_pid)" "$DAEMON"
holds steady-is-the-same-still same "$(d pid steady)" "$STEADY"

DAEMON=$(daemon_pid) GUARDIAN=$(parent_of "$(daemon_pid)")
[ "$GUARDIAN" = 1 ] || kill -9 "$GUARDIAN"
kill -9 "$DAEMON"
comes both-are-gone is_gone "$DAEMON"
comes next-command d list
holds another-daemon has_successor "$DAEMON"
holds steady-is-the-same-again same "$(d pid steady)" "$STEADY"
holds ended d kill
holds nobody-left has_copies 60001 0
