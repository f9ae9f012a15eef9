# Restrictions on an older kernel: root's by namespaces and filters. Of Landlock it has a version that lets files be cut
# to nothing, so an ordinary user's are refused, but for those that take none.

mkdir -p /srv/free /srv/secret /home/user /usr /var/tmp
chmod 777 /srv/free
chown user /home/user
echo old >/srv/secret/file
echo hidden >/tmp/outside

user() {
    su user -c "DIAKONOS_HOME=/home/user/home timeout 60 diakonos $*"
}

refuses() {
    "$@" 2>&1 | tee /tmp/refusal
    grep -q 'ProtectSystem: without root this takes Landlock of version 3' /tmp/refusal
}

cat >/units/try.sh <<'END'
try() {
    if "$@" 2>/dev/null; then echo "can $*"; else echo "cannot $*"; fi >>/srv/free/said
}
put() {
    echo new >"$1"
}
try put /srv/free/new
try put /srv/new
try put /usr/new
try cat /srv/secret/file
try ls /tmp/outside
try put /tmp/inside
try ls /dev/kmsg
try put /dev/null
try chroot / true
try chown user /srv/free/new
grep -c : /proc/net/dev >>/srv/free/said
exec sleep 1000
END
printf '%s\n' '[service]' 'ExecStart = ["/bin/sh", "/units/try.sh"]' 'ProtectSystem = "strict"' \
    'ReadWritePaths = "/srv/free"' 'InaccessiblePaths = "/srv/secret"' 'PrivateTmp = true' 'PrivateDevices = true' \
    'PrivateNetwork = true' 'SystemCallFilter = "~chroot:EPERM"' 'CapabilityBoundingSet = "~CAP_CHOWN"' \
    >/units/jail.service
printf '%s\n' '[service]' 'ExecStart = "sleep 1000"' 'ProtectSystem = true' >/units/files.service
printf '%s\n' '[service]' 'ExecStart = "sleep 1000"' 'NoNewPrivileges = true' 'SystemCallFilter = "@system-service"' \
    >/units/calls.service
cat >/tmp/expected <<'END'
can put /srv/free/new
cannot put /srv/new
cannot put /usr/new
cannot cat /srv/secret/file
cannot ls /tmp/outside
can put /tmp/inside
cannot ls /dev/kmsg
can put /dev/null
cannot chroot / true
cannot chown user /srv/free/new
1
END

holds started d start jail
comes restricted cmp /srv/free/said /tmp/expected
holds nobody-else-is sh -c 'echo new >/srv/new && cat /srv/secret/file && ls /dev/kmsg /tmp/outside'
holds tmp-is-its-own is_absent /tmp/inside
holds stopped d stop jail
comes tmp-is-gone is_absent "$DIAKONOS_HOME/tmp/jail"
holds files-are-refused refuses user start files
holds calls-are-not user start calls
holds ended user stop calls
