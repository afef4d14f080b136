#!/bin/sh
# Made of the parts in src/server/transaction/, which are joined when they are sent.
# The server's side of Deploy Django: one transaction, from the plan to a committed release or back to the one before.
# Needs sh (dash and BusyBox do), docker with compose, coreutils, flock, setsid, tar. It never parses JSON, decides no
# policy, and never runs text that was sent to it: facts are files that are read line by line.
#
#   sh -s look|room DIRECTORY < transaction.sh              what is here (the script itself may come on standard input)
#   sh transaction.sh stage|plan|begin|follow|abort|recover|run DIRECTORY …
#   sh transaction.sh step DIRECTORY TRANSACTION STEP       one step of a transaction, a process of its own
#
# Exit codes have names, `exit_…`, which src/server/exit.ts puts behind this head: 10-29 are the probe's
# (src/django/probe/head.py), ours are 30 and above.
set -euf
umask 077
export LC_ALL=C
unset CDPATH

format=1
# Limits in seconds for a docker call that may hang; a migration has none, it is only ever waited for.
call_limit=60 change_limit=900 pull_limit=1800
# How long the daemon may be away, a data service may take to become healthy, the old containers to run again.
away_limit=600 data_limit=180 undo_limit=60
# What a container is called that its release's successor has stopped, until that is committed.
retired=deploy-django-retired_
newline='
'
