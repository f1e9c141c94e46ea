# Shared by scripts/templora, scripts/test and others; sourced, never run. Finds or installs what a
# build needs, builds, and makes the default text and model. Prints to standard error only.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build
venv=$root/.venv
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/templora
torch_wanted=2.13.0
sentencepiece=sentencepiece-0.2.1

say() { echo "templora: $*" >&2; }
die() { say "$*"; exit 4; }  # 4: a resource is missing

# header_found HEADER: the compiler, or deps/include, has it.
# pcre2.h wants to know the width of a character.
header_found() {
  [ -e "$root/deps/include/$1" ] || echo "#include <$1>" | g++ -DPCRE2_CODE_UNIT_WIDTH=8 -E -x c++ - > /dev/null 2>&1
}

have_sentencepiece() { [ -e "$root/deps/$sentencepiece.tar.gz" ] || [ -e "$cache/$sentencepiece.tar.gz" ]; }

# One Debian package name a line for each thing that is missing.
missing_packages() {
  command -v g++ > /dev/null || echo g++
  cmake_new_enough || echo cmake
  command -v ninja > /dev/null || echo ninja-build
  command -v python3 > /dev/null || echo python3
  # pip is only needed for what is not there yet.
  if ! have_sentencepiece || ! python3 "$root/scripts/find_torch.py" > /dev/null 2>&1; then
    [ -x "$venv/bin/pip" ] || python3 -c 'import ensurepip, venv' 2> /dev/null || echo python3-venv
  fi
  header_found nlohmann/json.hpp || echo nlohmann-json3-dev
  header_found CLI/CLI.hpp || echo libcli11-dev
  header_found fmt/format.h || echo libfmt-dev
  header_found xxhash.h || echo libxxhash-dev
  header_found pcre2.h || echo libpcre2-dev
  header_found catch2/catch.hpp || header_found catch2/catch_all.hpp || echo catch2
  header_found httplib.h || echo libcpp-httplib-dev
  [ -e "$root/deps/kjv.txt.gz" ] || [ -e "$build/data/kjv.txt" ] || command -v bible > /dev/null || echo bible-kjv
}

cmake_new_enough() {
  local version
  version=$(cmake --version 2> /dev/null | sed -n '1s/[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
  [ -n "$version" ] && set -- $version && { [ "$1" -gt 3 ] || { [ "$1" -eq 3 ] && [ "$2" -ge 20 ]; }; }
}

# Debian packages: installed if we may, else named. Without a Bible only the quickstart's text is missing, without
# cpp-httplib only `templora watch`.
ensure_packages() {
  local packages
  packages=$(missing_packages | tr '\n' ' ')
  packages=${packages% }
  [ -n "$packages" ] || return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    command -v ccache > /dev/null || packages="$packages ccache"
    say "installing $packages"
    mkdir -p "$build"
    if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } \
        > "$build/install.log" 2>&1; then
      tail -n 5 "$build/install.log" >&2
    fi
    packages=$(missing_packages | tr '\n' ' ')
    packages=${packages% }
  fi
  local package needed=
  for package in $packages; do
    case $package in
      bible-kjv) say "no text for the quickstart: install bible-kjv to have one" ;;
      libcpp-httplib-dev) say "no templora watch: install libcpp-httplib-dev to have it" ;;
      *) needed=yes ;;
    esac
  done
  [ -z "$needed" ] || die "missing packages: install $packages (Debian: apt-get install $packages), then start again"
}

# pip of .venv, which is made if it is not there.
venv_pip() {
  if [ ! -x "$venv/bin/pip" ]; then
    python3 -m venv "$venv" >> "$build/install.log" 2>&1 || die "cannot make $venv; see $build/install.log"
  fi
  "$venv/bin/pip" --disable-pip-version-check --quiet "$@" >> "$build/install.log" 2>&1
}

# LibTorch: whatever find_torch.py finds, else the wheel in .venv.
ensure_torch() {
  local message
  message=$(python3 "$root/scripts/find_torch.py" 2>&1 > /dev/null) && return 0
  [ -z "${Torch_DIR:-${TORCH_DIR:-}}" ] || die "$message"
  mkdir -p "$build"
  say "installing torch $torch_wanted into .venv"
  if [ -e /dev/nvidiactl ]; then
    venv_pip install "torch==$torch_wanted" && return 0
  else
    # The default build of some indexes brings gigabytes for GPUs; the CPU build is tried first.
    venv_pip install "torch==$torch_wanted+cpu" && return 0
    say "no CPU build of torch in pip's indexes, taking the default one, which may be several GB" \
      "(PIP_EXTRA_INDEX_URL can name an index that has it, Torch_DIR an installed torch)"
    venv_pip install "torch==$torch_wanted" && return 0
  fi
  tail -n 3 "$build/install.log" >&2
  die "torch: cannot install $torch_wanted; install torch 2.11 or newer, or set Torch_DIR to its folder"
}

# The source package of sentencepiece, in deps/ or the cache.
ensure_sentencepiece() {
  ! have_sentencepiece || return 0
  local part
  mkdir -p "$build" "$cache"
  part=$(mktemp -d "$cache/fetch.XXXXXX")
  say "fetching the source of sentencepiece"
  # Without isolation, or pip would compile CMake from source to read the package's name.
  venv_pip install setuptools wheel || true
  if venv_pip download --no-deps --no-binary sentencepiece --no-build-isolation -d "$part" \
      "sentencepiece==${sentencepiece#*-}" && tar -tzf "$part/$sentencepiece.tar.gz" > /dev/null; then
    mv "$part/$sentencepiece.tar.gz" "$cache/"
    rm -rf "$part"
  else
    rm -rf "$part"
    tail -n 3 "$build/install.log" >&2
    die "$sentencepiece.tar.gz: cannot fetch it; put the source package of sentencepiece into $cache or deps/"
  fi
}

# How many compilers fit: a file that includes torch takes a little over 1 GB.
compile_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo)
  [ "$memory" -ge 1 ] || memory=1
  [ "$memory" -lt "$cores" ] && echo "$memory" || echo "$cores"
}

# show_progress TEXT: rewrites one line with ninja's [12/85].
show_progress() {
  local line
  while IFS= read -r line; do
    [[ $line =~ ^\[[0-9]+/[0-9]+\] ]] && printf '\rtemplora: %s %s ' "$1" "${BASH_REMATCH[0]}" >&2
  done
  return 0
}

# run_logged TEXT COMMAND…: one progress line on a terminal, the log's errors on failure.
run_logged() {
  local what=$1 log=$build/build.log start=$SECONDS status=0
  shift
  if [ -t 2 ]; then
    "$@" 2>&1 | tee -a "$log" | show_progress "$what" || status=$?
    printf '\r\033[K' >&2
  else
    say "$what"
    "$@" >> "$log" 2>&1 || status=$?
  fi
  if [ "$status" -ne 0 ]; then
    grep -E -A 6 '^CMake Error|: (fatal )?error:|undefined reference|^ninja: error' "$log" | head -n 40 >&2 || true
    die "$what failed; the whole log is $log"
  fi
  [ $((SECONDS - start)) -lt 5 ] || say "$what: done in $((SECONDS - start)) s"
}

# What a build depends on besides the files: another torch or another place means building again.
build_key() { echo "$root torch=${Torch_DIR:-${TORCH_DIR:-}}"; }

# is_built STAMP FOLDER…: nothing in the folders is newer than the stamp, and the stamp is of this key.
is_built() {
  local stamp=$build/$1
  shift
  [ -e "$stamp" ] && [ "$(< "$stamp")" = "$(build_key)" ] || return 1
  # Folders count too: a file that was removed makes its folder newer.
  [ -z "$(cd "$root" &&
    find "$@" -newer "$stamp" -not -name '*.pyc' -not -name __pycache__ -print -quit 2> /dev/null)" ]
}

program_sources=(CMakeLists.txt cmake libtemplora experiments scripts/find_torch.py)

# build_target STAMP TARGET…: installs what is missing, configures and builds.
build_target() {
  local stamp=$1
  shift
  mkdir -p "$build"
  exec 9> "$build/.lock"
  flock -n 9 || { say "waiting for another build in $build"; flock 9; }
  ensure_packages
  ensure_torch
  ensure_sentencepiece
  local other
  for other in "$build"/.built-*; do  # what was built with another torch is linked to this one from here on
    [ ! -e "$other" ] || [ "$(< "$other")" = "$(build_key)" ] || rm -f "$other"
  done
  build_key > "$build/.building"  # becomes the stamp, so an edit during the build is not missed
  : > "$build/build.log"
  if [ -e "$build/CMakeCache.txt" ] && ! grep -q "^CMAKE_HOME_DIRECTORY:INTERNAL=$root\$" "$build/CMakeCache.txt"; then
    rm -rf "$build/CMakeCache.txt" "$build/CMakeFiles"  # the tree was moved
  fi
  run_logged "configuring" cmake -S "$root" -B "$build" -G Ninja -DTorch_DIR="${Torch_DIR:-${TORCH_DIR:-}}"
  run_logged "building" ninja -C "$build" -j "$(compile_jobs)" "$@"
  mv "$build/.building" "$build/$stamp"
  exec 9>&-
}

ensure_program() { is_built .built-program "${program_sources[@]}" || build_target .built-program templora; }

# The King James text, which the default config reads.
ensure_defaults() {
  [ -e "$build/data/kjv.txt" ] || "$root/scripts/make_bible" || true
}
