# The second boot: nothing of the first one runs, and its numbers are others' now.

use_disk
DECOYS=
while read -r pid; do
    decoy "$pid"
    DECOYS="$DECOYS $DECOY"
done </disk/pids
are_alive() {
    for pid in $DECOYS; do
        lives "$pid" || return
    done
}
# What it says at its beginning may still be on its way when it runs.
begun_twice() {
    same "$(d logs -n all web | grep -c begun)" 2
}
speaks_now() {
    d logs -n 5 chatty | tee /tmp/lines
    same "$(grep -c "^$(cat /proc/sys/kernel/random/boot_id) says [1-9]$" /tmp/lines)" 5
}
holds old-numbers-are-taken same "$DECOYS" " $(tr '\n' ' ' </disk/pids | sed 's/ $//')"

holds first-command d list
comes web-runs is_in_state web running
holds dependency-runs is_in_state database running
comes enabled-just-before-runs is_in_state last running
comes one-web has_copies 30002 1
comes one-database has_copies 30001 1
holds others-do-not-run has_copies 30003 0
holds others-are-stopped is_in_state extra stopped
holds web-is-another differs "$(d pid web)" "$(head -n 1 /disk/pids)"
holds runs-count-on is_at_least "$(field web run)" $(($(cat /disk/run) + 1))
comes log-goes-on begun_twice
holds old-run-is-found same "$(d logs -n all --run "$(cat /disk/run)" web | grep -c begun)" 1
holds torn-log-is-read d logs -n all chatty
comes torn-log-goes-on speaks_now
holds old-numbers-live are_alive
holds ends d kill
holds nothing-runs has_copies 3000 0
holds old-numbers-live-on are_alive
