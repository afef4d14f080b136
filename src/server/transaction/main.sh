# shellcheck shell=sh
## The verb.

verb=$1
shift
open_trace
trace "$verb $*"
choose_way
case $verb in
  stage | check | prepare | plan | begin | recover | follow | run | status) redacted "$verb" "$@" ;;
  look | room | returning | engine | resume | step | abort | rollback | boot | quit) "$verb" "$@" ;;
  *) die "$exit_unknown_verb" "unknown verb $verb" ;;
esac
