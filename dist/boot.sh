# shellcheck shell=sh
## Boot: after a power loss, cron finishes interrupted deployments. Without cron, the next deploy does.

# Runs once per project and directory. `boot` calls the script of each transaction, so its text never has to change.
register_boot() {
  entry="@reboot sh $directory/.deploy/boot # deploy-django" registered=
  if [ -f .deploy/cron ]; then read -r registered <.deploy/cron || registered=; fi
  if [ "$registered" = "$entry" ]; then return; fi
  cat >.deploy/boot.new <<'END'
#!/bin/sh
# Finishes what a power loss has interrupted: cron runs it when the host boots, with a shorter PATH than a login has.
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
    echo "note: cron on this host runs nothing for $(id -un) at boot:" \
      "after a power loss, the next deploy finishes what was interrupted"
  fi
}

put_entry() { # another project of this user may edit the crontab at the same time
  # cron and its shell would expand other characters.
  case $directory in *[!A-Za-z0-9_./@+-]*) return 1 ;; esac
  command -v crontab && exec 7<"$HOME" && timeout 10 flock 7 && entries=$(other_entries) &&
    printf '%s\n' "${entries:+$entries$newline}$entry" | crontab -
}

other_entries() { # without those of removed projects
  found=$(crontab -l) || case $(crontab -l 2>&1) in
    *'no crontab'* | *'No such file'*) return 0 ;;
    *) return 1 ;; # the crontab may have entries, which must not be lost
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

boot() { # DIRECTORY: finishes interrupted deployments; Docker may still be starting
  enter "$1"
  transaction=
  until=$(($(date +%s) + away_limit))
  until docker_answers; do
    [ "$(date +%s)" -lt "$until" ] || die "$exit_docker_away" "docker did not answer in $away_limit s after the boot"
    pause 1
    choose_way
  done
  exec 9>>.deploy/lock
  # The holder of the lock has finished them already, or does so first.
  if ! flock -n 9; then return; fi
  echo 'recovery after a boot' >.deploy/lock
  recover_all
}
