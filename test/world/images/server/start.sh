#!/bin/sh
# First process of a test server: starts sshd, a relay to the registry and the Docker daemon, and keeps the
# daemon running as systemd would (unless /run/docker.held says that a test wants it down). /run is in memory,
# as on any server, so each start is a boot: cron does its @reboot jobs, and locks and holds are gone.
# Variables: AUTHORIZED_KEY (public key for root and deploy), REGISTRY (host:port of the registry).
set -eu

# Nested daemons need their own cgroup branch: a group with processes cannot delegate controllers.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p /sys/fs/cgroup/init
  xargs -rn1 </sys/fs/cgroup/cgroup.procs >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || :
  sed -e 's/ / +/g' -e 's/^/+/' </sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
fi

for home in /root /home/deploy; do
  printf '%s\n' "$AUTHORIZED_KEY" >"$home/.ssh/authorized_keys"
  chmod 600 "$home/.ssh/authorized_keys"
done
chown deploy:deploy /home/deploy/.ssh/authorized_keys
ssh-keygen -A >/dev/null
mkdir -p /run/sshd
/usr/sbin/sshd
cron

# Image names are the same here and where images are built: 127.0.0.1:5001 is the registry on both sides.
socat TCP-LISTEN:5001,bind=127.0.0.1,reuseaddr,fork "TCP:$REGISTRY" &

mtu=$(cat /sys/class/net/eth0/mtu)
while :; do
  if [ -e /run/docker.held ]; then
    sleep 0.1
    continue
  fi
  # After a kill these files name processes that are no more.
  rm -f /run/docker.pid /run/docker/containerd/containerd.pid
  dockerd --mtu "$mtu" --userland-proxy=false >>/var/log/dockerd.log 2>&1 || :
  sleep 0.2
done
