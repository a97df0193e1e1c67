#!/bin/sh
# @NAME@ @VERSION@ of netlab: this launcher, then the program and the Deno runtime that it needs. The first start unpacks them
# into the user's cache; every start runs the program with exactly its permissions.
program=@PROGRAM@ runtime=@RUNTIME@

# intact FILE: whether it is as it was when it was checked. The mark is made after the check; a file changed later is newer.
intact() { [ -f "$1" ] && [ -f "$1.checked" ] && ! [ "$1" -nt "$1.checked" ]; }

sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }

# unpack FILE SHA256: stdin becomes FILE in one step, and only with that hash; two starts at once do not meet.
unpack() {
  rm -f "$1.checked"
  if cat >"$1.$$" && [ "$(sha256 <"$1.$$")" = "$2  -" ] && chmod 500 "$1.$$" && mv -f "$1.$$" "$1" && : >"$1.checked"; then
    return 0
  fi
  rm -f "$1.$$"
  return 1
}

# part FILE SHA256 START LENGTH: these bytes of this file, gzip'd, are FILE.
part() { intact "$1" || tail -c "+$3" "$0" | head -c "$4" | gzip -dc | unpack "$1" "$2"; }

# prepare FOLDER: all parts are there and intact, in a folder that is ours alone.
prepare() {
  cache=$1
  mkdir -p "$cache/$program" && ! [ -L "$cache" ] && [ -O "$cache" ] && chmod 700 "$cache" || return 1
  @PARTS@
}

mask=$(umask) # of the files that the program makes
umask 077
{
  { [ -n "${XDG_CACHE_HOME:-}" ] && prepare "$XDG_CACHE_HOME/netlab"; } ||
    { [ -n "${HOME:-}" ] && prepare "$HOME/.cache/netlab"; } ||
    prepare "${TMPDIR:-/tmp}/netlab-$(id -u)"
} 2>/dev/null || {
  echo "@NAME@: unpack into a cache folder: none can be written (is the disk full? XDG_CACHE_HOME=FOLDER names another one)" >&2
  exit 1
}
umask "$mask"

DENO_DIR=$cache/deno-dir DENO_NO_UPDATE_CHECK=1 exec "$cache/$runtime" run --quiet --no-prompt --no-config --no-remote --no-npm \
  @FLAGS@ "$cache/$program/main.js" "$@"
