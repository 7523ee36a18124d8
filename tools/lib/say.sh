# shellcheck shell=bash
# What the scripts in tools/ say and how they time it. Sourced, never run.
#
#   step TEXT           announces a piece of work
#   note TEXT           one line of explanation below it
#   die TEXT [HINT]     says what failed and what to do about it, and ends the script with status 1
#   seconds_since T     whole seconds since $SECONDS was T
#
# Colour only on a terminal and only without NO_COLOR. All of it goes to stdout but for `die`.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
  say_bold=$'\033[1m' say_dim=$'\033[2m' say_red=$'\033[31m' say_green=$'\033[32m' say_plain=$'\033[0m'
else
  say_bold='' say_dim='' say_red='' say_green='' say_plain=''
fi

step() { printf '%s==> %s%s\n' "$say_bold" "$*" "$say_plain"; }
note() { printf '    %s%s%s\n' "$say_dim" "$*" "$say_plain"; }
good() { printf '    %s%s%s\n' "$say_green" "$*" "$say_plain"; }
bad() { printf '    %s%s%s\n' "$say_red" "$*" "$say_plain"; }

die() {
  printf '%serror:%s %s\n' "$say_red" "$say_plain" "$1" >&2
  [ $# -lt 2 ] || printf '  try:  %s\n' "$2" >&2
  exit 1
}

seconds_since() { echo $((SECONDS - $1)); }
