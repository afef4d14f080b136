# shellcheck shell=sh
## Runs the command, which is the first argument.

command=$1
shift
open_trace
trace "$command $*"
choose_way
case $command in
  stage | check | prepare | plan | dumpable | begin | recover | follow | run | status) redacted "$command" "$@" ;;
  look | reclaimable | returning | engine | resume | step | abort | rollback | boot | quit) "$command" "$@" ;;
  *) die "$exit_unknown_command" "unknown command $command" ;;
esac
