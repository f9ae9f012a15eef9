# The second boot, after the first process had been told to end.

use_disk
no_recovery() {
    dmesg | grep EXT4-fs | tee /tmp/filesystem
    grep -q mounted /tmp/filesystem && ! grep -q recovery /tmp/filesystem
}

holds stopped-in-order same "$(tr '\n' ' ' </disk/order)" 'web database '
holds disk-was-in-order no_recovery
holds daemon-had-ended is_absent "$DIAKONOS_HOME/control.sock"
holds nobody-was-left same "$(ls "$DIAKONOS_HOME/run")" last-run
