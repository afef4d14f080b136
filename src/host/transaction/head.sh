#!/bin/sh
# Joined from the parts in src/host/transaction/ when it is sent.
# The host's side of Deploy Django: one transaction, from the plan to the commit or the revert.
# Needs sh (dash or BusyBox), docker with compose, coreutils, flock, setsid, tar. It never parses JSON and decides no
# policy. It never runs text that was sent to it: facts are files, read line by line.
#
#   sh -s look|reclaimable DIRECTORY < transaction.sh       facts about the host; the script may come on stdin
#   sh transaction.sh COMMAND DIRECTORY …                   the commands are in main.sh
#   sh transaction.sh step DIRECTORY TRANSACTION STEP       one step of a transaction, a process of its own
#
# Exit codes have names, `exit_…`, which src/host/exit.ts inserts after this head. 10-29 are the probe's
# (src/django/probe/head.py), 30 and above are this script's.
set -euf
umask 077
export LC_ALL=C
unset CDPATH

format=1
# Limits in seconds for a docker call that may hang. A migration has no limit: the script only waits for it.
call_limit=60 change_limit=900 pull_limit=1800
# Limits in seconds for Docker to answer again, a stateful service to become healthy, the old containers to run again.
away_limit=600 data_limit=180 undo_limit=60
# Until the commit, this prefix marks containers of services that the new release no longer names.
retired=deploy-django-retired_
newline='
'
