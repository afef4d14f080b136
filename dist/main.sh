# shellcheck shell=sh
## The verb.

verb=$1
shift
case $verb in
  look | stage | plan | begin | engine | resume | recover | step | follow | abort) "$verb" "$@" ;;
  *) die 64 "unknown verb $verb" ;;
esac
