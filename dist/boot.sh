# shellcheck shell=sh
## Boot: after a power loss cron finishes what was interrupted. Where no cron takes our entry, the next deploy does.

# Once for a project and its place: what `boot` does is in the script of each transaction, so its own text need not
# change.
register_boot() {
  entry="@reboot sh $directory/.deploy/boot # deploy-django" registered=
  if [ -f .deploy/cron ]; then read -r registered <.deploy/cron || registered=; fi
  if [ "$registered" = "$entry" ]; then return; fi
  cat >.deploy/boot.new <<'END'
#!/bin/sh
# Finishes what a power loss has interrupted: cron runs it when the server boots, with a shorter PATH than a login has.
PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin:/snap/bin
cd "$(dirname "$0")/.." || exit
for id in $(cd .deploy/journal && grep -L '^[^ ]* end ' *[0-9] 2>/dev/null); do
  sh ".deploy/plans/$id/transaction.sh" boot . >>".deploy/journal/$id.log" 2>&1
done
END
  flush .deploy/boot.new
  mv .deploy/boot.new .deploy/boot
  if (put_entry) >/dev/null 2>&1; then
    echo "$entry" >.deploy/cron
  else
    echo "note: no cron here runs anything for $(id -un) at boot:" \
      "what a power loss interrupts is finished by the next deploy"
  fi
}

put_entry() { # another project of this user may be at it as well
  # Cron and its shell would read more into it.
  case $directory in *[!A-Za-z0-9_./@+-]*) return 1 ;; esac
  command -v crontab && exec 7<"$HOME" && timeout 10 flock 7 && entries=$(other_entries) &&
    printf '%s\n' "${entries:+$entries$newline}$entry" | crontab -
}

other_entries() { # those of removed projects are left out
  found=$(crontab -l) || case $(crontab -l 2>&1) in
    *'no crontab'* | *'No such file'*) return 0 ;;
    *) return 1 ;; # they are there, and must not be lost
  esac
  printf '%s\n' "$found" | while IFS= read -r line; do
    case $line in
      '@reboot sh '*' # deploy-django')
        file=${line#'@reboot sh '}
        if [ "$line" = "$entry" ] || [ ! -f "${file%' # deploy-django'}" ]; then continue; fi
        ;;
    esac
    printf '%s\n' "$line"
  done
}

is_registered() { [ -f .deploy/cron ] && crontab -l 2>/dev/null | grep -qxFf .deploy/cron; }

boot() { # DIRECTORY: what is interrupted is finished; Docker may still be starting
  enter "$1"
  transaction=
  until=$(($(date +%s) + away_limit))
  until docker_answers; do
    [ "$(date +%s)" -lt "$until" ] || die "$exit_docker_away" "docker did not answer in $away_limit s after the boot"
    pause 1
    choose_way
  done
  exec 9>>.deploy/lock
  # Who has the lock already has finished it, or does that first.
  if ! flock -n 9; then return; fi
  echo 'recovery after a boot' >.deploy/lock
  recover_all
}
