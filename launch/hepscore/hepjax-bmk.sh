#!/usr/bin/env bash
# Runs copies of one hepjax benchmark side by side, as hep-score calls it inside a container.
#
#   hepjax-bmk.sh -W --events 1100 --copies 1 --threads 16        report: /results/mlpf_summary.json
#   hepjax-bmk.sh -w /tmp/a --workload tagger -e 8 --batch-size 4 --epochs 2     without a container
#
# Settings are arguments only: hep-score gives a clean environment and no home. The names of the
# variables and of doOne are those of the hep-workloads drivers.
set -euo pipefail

BMKDIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
NAME=mlpf
[ -r "$BMKDIR/workload" ] && NAME=$(cat "$BMKDIR/workload")   # the image says which one it is
NCOPIES=1
NTHREADS=0          # 0: the cores there are, divided by the copies
NEVENTS_THREAD=     # as hepjax bench has it
RESULTS=/results
DIRECT=0
MOP=none
DEBUG=0
EXTRA_ARGS=()

usage() {
  cat << 'EOF'
usage: hepjax-bmk.sh [-W] [-w DIR] [-e N] [-c N] [-t N] [--workload gan3d|tagger|mlpf]
                     [--epochs N] [--batch-size N] [--devices N] [--precision f32|bf16] [--seed N]
  -e, --events N     training events of each copy, over all of its threads and devices
  -c, --copies N     trainings side by side; default 1
  -t, --threads N    cores of each copy; default: all, divided by the copies
  -w, --resultsdir D where to write; default /results
  -W                 write there directly, not into a folder of its own
  -m, --mop MODE     none keeps logs and events of each copy, all keeps the report only
  -n, --ncores N     cores that may be used; copies become N / threads unless given
  -d, --debug        trace, and tracebacks of errors
  -h, --help         this text
EOF
}

refuse() { echo "hepjax-bmk.sh: error: $*" >&2; exit 2; }

number() {  # option value least
  [[ $2 =~ ^[0-9]{1,9}$ ]] && [ "$2" -ge "$3" ] || refuse "$1: expected a number of at least $3, found '$2'"
}

parse() {
  local copies_given=0 ncores=0
  while [ $# -gt 0 ]; do
    case $1 in
      -W) DIRECT=1; shift; continue ;;
      -d | --debug) DEBUG=1; shift; continue ;;
      -h | --help) usage; exit 0 ;;
    esac
    [ $# -ge 2 ] || refuse "$1: unknown, or without a value; see --help"
    case $1 in
      -e | --events) number "$1" "$2" 2; NEVENTS_THREAD=$2 ;;
      -c | --copies) number "$1" "$2" 1; NCOPIES=$2; copies_given=1 ;;
      -t | --threads) number "$1" "$2" 1; NTHREADS=$2 ;;
      -n | --ncores) number "$1" "$2" 1; ncores=$2 ;;
      -w | --resultsdir) RESULTS=$2 ;;
      -m | --mop) case $2 in none | all) MOP=$2 ;; *) refuse "$1: expected none or all, found '$2'" ;; esac ;;
      --workload) NAME=$2 ;;
      --epochs | --batch-size | --devices | --precision | --seed) EXTRA_ARGS+=("$1" "$2") ;;
      *) refuse "$1: unknown; see --help" ;;
    esac
    shift 2
  done
  case $NAME in gan3d | mlpf | tagger) ;; *) refuse "--workload: expected gan3d, mlpf or tagger, found '$NAME'" ;; esac
  mapfile -t CORES < <(cores)
  [ "$ncores" -le "${#CORES[@]}" ] || refuse "--ncores: expected at most ${#CORES[@]}, found $ncores"
  [ "$ncores" -eq 0 ] || CORES=("${CORES[@]:0:ncores}")
  if [ "$ncores" -gt 0 ] && [ "$NTHREADS" -gt 0 ] && [ "$copies_given" -eq 0 ]; then
    NCOPIES=$(( ncores / NTHREADS ))
  fi
  [ "$NTHREADS" -gt 0 ] || NTHREADS=$(( ${#CORES[@]} / NCOPIES ))
  [ "$NCOPIES" -ge 1 ] && [ "$NTHREADS" -ge 1 ] && [ $(( NCOPIES * NTHREADS )) -le "${#CORES[@]}" ] \
    || refuse "--copies x --threads: expected at most ${#CORES[@]} cores, found $NCOPIES x $NTHREADS"
}

cores() {  # one a line, those that this process may use
  local range
  for range in $(taskset -cp $$ | sed 's/.*: //; s/,/ /g'); do
    seq "${range%-*}" "${range#*-}"
  done
}

adder() {  # ADDER: what adds up the copies; it has to be of the Python that hepjax is installed in
  local program python
  program=$(command -v hepjax) || refuse "hepjax: expected the command on PATH, found none"
  ADDER=(hepjax copies)
  ! "${ADDER[@]}" --help > /dev/null 2>&1 || return 0
  python=$(head -n 1 "$(readlink -f "$program")" | tr -d '\0' | sed -n 's/^#! *//p')
  for python in ${python%% *} "$(dirname "$(readlink -f "$program")")/python3" python3; do
    ADDER=("$python" -m hepjax.bench.copies)
    ! "${ADDER[@]}" --help > /dev/null 2>&1 || return 0
  done
  refuse "$program: expected a hepjax with 'hepjax copies', found none in it or in the Python beside it"
}

doOne() {  # copy number, from 1; starts in a folder of its own
  local first=$(( ($1 - 1) * NTHREADS )) events=() debug=()
  local own=("${CORES[@]:first:NTHREADS}")
  if [ -z "$NEVENTS_THREAD" ] && [ -d "$BMKDIR/data" ]; then
    events=(--data "$BMKDIR/data/$NAME-"*)
  elif [ -d "$BMKDIR/data/$NAME-$NEVENTS_THREAD" ]; then
    events=(--data "$BMKDIR/data/$NAME-$NEVENTS_THREAD")
  elif [ -n "$NEVENTS_THREAD" ]; then
    events=(--events "$NEVENTS_THREAD")
  fi
  [ "$DEBUG" -eq 0 ] || debug=(--debug)
  export XDG_CACHE_HOME=$PWD/cache   # there may be no home
  exec taskset -c "$(IFS=,; echo "${own[*]}")" \
    hepjax bench "$NAME" "${events[@]}" "${EXTRA_ARGS[@]}" --out "$PWD" "${debug[@]}" > out.log 2>&1
}

parse "$@"
[ "$DEBUG" -eq 0 ] || set -x
adder  # before hours of work, not after
[ -d "$RESULTS" ] && [ -w "$RESULTS" ] || refuse "$RESULTS: expected a folder that can be written; mount one"
WORK=$(cd "$RESULTS" && pwd)
if [ "$DIRECT" -eq 0 ]; then
  WORK=$WORK/$NAME-c$NCOPIES-t$NTHREADS-$(date +%Y%m%dT%H%M%S)
  mkdir "$WORK"
fi
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true' INT TERM
for copy in $(seq "$NCOPIES"); do
  mkdir -p "$WORK/proc_$copy"
  (cd "$WORK/proc_$copy" && doOne "$copy") &
  pids+=($!)
done
failed=0
for copy in $(seq "$NCOPIES"); do
  wait "${pids[copy - 1]}" && continue
  failed=$?
  echo "hepjax-bmk.sh: copy $copy ended with code $failed:" >&2
  tail -n 5 "$WORK/proc_$copy/out.log" >&2 || true
done
[ "$failed" -eq 0 ] || exit "$failed"
"${ADDER[@]}" "$WORK"/proc_*/"${NAME}_summary.json" --out "$WORK/${NAME}_summary.json"
[ "$MOP" = none ] || rm -rf "$WORK"/proc_*
echo "$WORK/${NAME}_summary.json"
