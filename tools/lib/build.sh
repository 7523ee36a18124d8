# shellcheck shell=bash
# Configures and builds a preset with progress that can be seen. Sourced after say.sh; needs $root.
#
# On a terminal ninja draws its own line. Elsewhere (CI, a log file) a line per tenth of the work is printed, and whatever the
# compilers say passes through untouched.

: "${root:?}"

# jobs_max: how many compilers may run: a processor each, but not more than memory carries (1 GiB for each).
jobs_max() {
  local processors memory_mib
  processors=$(nproc)
  memory_mib=$(awk '/^MemAvailable:/ {print int($2 / 1024)}' /proc/meminfo)
  local by_memory=$((memory_mib / 1024))
  [ "$by_memory" -ge 1 ] || by_memory=1
  [ "$processors" -le "$by_memory" ] && echo "$processors" || echo "$by_memory"
}

# tenths: reads ninja's output; passes on what is not a progress line, and every tenth of those that are.
tenths() {
  local line done_now total tenth last=-1
  while IFS= read -r line; do
    if [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]]; then
      done_now=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]}
      tenth=$((done_now * 10 / total))
      if [ "$tenth" -ne "$last" ]; then
        note "built $done_now of $total"
        last=$tenth
      fi
    else
      printf '%s\n' "$line"
    fi
  done
}

# configure PRESET [CMAKE ARGUMENTS...]: quiet unless it fails.
configure() {
  local preset=$1 log
  shift
  mkdir -p "$root/build"
  log="$root/build/configure-$preset.log"
  if ! (cd "$root" && cmake --preset "$preset" "$@") >"$log" 2>&1 </dev/null; then
    cat "$log"
    bad "cmake --preset $preset failed"
    return 1
  fi
}

# build PRESET [TARGET...]: all targets when none is named.
build() {
  local preset=$1 arguments=()
  shift
  [ $# -eq 0 ] || arguments=(--target "$@")
  if [ -t 1 ]; then
    cmake --build "$root/build/$preset" -j "$(jobs_max)" "${arguments[@]}" </dev/null
  else
    cmake --build "$root/build/$preset" -j "$(jobs_max)" "${arguments[@]}" </dev/null 2>&1 | tenths
    return "${PIPESTATUS[0]}"
  fi
}
