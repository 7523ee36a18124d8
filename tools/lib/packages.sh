# shellcheck shell=bash
# Installs what tools/packages lists and this machine lacks. Sourced after say.sh; needs $root, the top of the clone.
#
# Asks dpkg first, so that a machine that has everything needs neither network nor rights. Otherwise runs apt-get as root, or
# through sudo, and says so before. Never asks a question: debconf is told to take its defaults.

: "${root:?}"

# packages_in GROUP...: the packages of these groups, one a line.
packages_in() {
  local group
  for group in "$@"; do
    awk -v group="$group" '$1 == group {print $2}' "$root/tools/packages"
  done
}

# packages_missing GROUP...: those of them that are not installed.
packages_missing() {
  local package
  for package in $(packages_in "$@"); do
    # A virtual package or one that was removed but for its configuration does not count.
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# install_missing GROUP...: afterwards all of them are there, or the script has ended.
install_missing() {
  local missing as_root=()
  command -v dpkg-query >/dev/null ||
    die "this machine has no dpkg: Bulkhead installs its needs on Debian 12 only" \
      "install what tools/packages lists by other means and run cmake --preset release"
  mapfile -t missing < <(packages_missing "$@")
  if [ "${#missing[@]}" -eq 0 ]; then
    note "nothing to install"
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      die "these packages are missing, and installing needs root: ${missing[*]}" \
        "run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  note "installing with apt: ${missing[*]}"
  local quiet=(-q -o=Dpkg::Use-Pty=0)
  "${as_root[@]}" apt-get "${quiet[@]}" update </dev/null ||
    die "apt-get update failed" "look at the network and at /etc/apt/sources.list"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get "${quiet[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null ||
    die "apt-get could not install: ${missing[*]}" "look at its message above; Debian 12 (bookworm) has all of them"
  mapfile -t missing < <(packages_missing "$@")
  [ "${#missing[@]}" -eq 0 ] || die "apt-get said yes but these are still missing: ${missing[*]}"
}
