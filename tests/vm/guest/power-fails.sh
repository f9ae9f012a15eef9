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
# Its log is torn when the power fails.
service chatty '[service]
LogMaxSize = "20K"' <<-'END'
	BOOT=$(cat /proc/sys/kernel/random/boot_id)
	while :; do
	    for number in 1 2 3 4 5 6 7 8 9; do
	        echo "$BOOT says $number"
	    done
	    sleep 0.1
	done
END

holds enabled d enable web chatty
holds chatty-started d start chatty
holds started d start web
holds extra-started d start extra
comes logged grep begun "$DIAKONOS_HOME/logs/web.log"
comes chatty-rotates test -s "$DIAKONOS_HOME/logs/chatty.log.1"
{ d pid web && d pid database && d pid extra && daemon_pid; } >/disk/pids
field web run >/disk/run
holds numbers-known same "$(wc -l </disk/pids)" 4
sync
holds last-enabled d enable last
# What is said is sent, and the power is gone.
stty -F /dev/console sane
echo b >/proc/sysrq-trigger
