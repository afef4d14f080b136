# shellcheck shell=sh
## Session: a transaction must outlive the login that starts it.

# Sets `outliving`: the words before a command that must live on. logind may end a login's processes
# (KillUserProcesses=yes). Then only a scope of the user's own manager survives, and only if the user lingers.
choose_session() {
  outliving=setsid
  if ! ends_with_login; then return; fi
  outliving='setsid systemd-run --user --scope --quiet'
  [ "$(loginctl show-user "$user" -p Linger 2>/dev/null)" = Linger=yes ] &&
    systemd-run --user --scope --quiet true 2>/dev/null
}

ends_with_login() {
  set -- -p KillUserProcesses -p KillOnlyUsers -p KillExcludeUsers
  settings=$(timeout -k 1 10 loginctl show-session "$@" 2>/dev/null) || return 1
  user=$(id -un)
  is_listed KillUserProcesses=yes "$settings" || return 1
  case " $(setting KillExcludeUsers) " in *" $user "*) return 1 ;; esac
  case " $(setting KillOnlyUsers) " in '  ' | *" $user "*) ;; *) return 1 ;; esac
}

setting() { printf '%s\n' "$settings" | sed -n "s/^$1=//p"; }
