# The first boot of a machine whose power fails: what runs, and what is enabled.

use_disk
# The next boot has these numbers to give to others.
echo 5000 >/proc/sys/kernel/ns_last_pid
service database '[service]' <<-'END'
	echo begun
	exec sleep 30001
END
service web '[unit]
Requires = ["database"]
After = ["database"]
[service]' <<-'END'
	echo begun
	exec sleep 30002
END
service extra '[service]' <<-'END'
	exec sleep 30003
END
service last '[service]' <<-'END'
	exec sleep 30004
END

holds enabled d enable web
holds started d start web
holds extra-started d start extra
comes logged grep begun "$DIAKONOS_HOME/logs/web.log"
{ d pid web && d pid database && d pid extra && daemon_pid; } >/disk/pids
field web run >/disk/run
holds numbers-known same "$(wc -l </disk/pids)" 4
sync
holds last-enabled d enable last
# What is said is sent, and the power is gone.
stty -F /dev/console sane
echo b >/proc/sysrq-trigger
