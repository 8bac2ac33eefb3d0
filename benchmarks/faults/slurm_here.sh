#!/usr/bin/env bash
# A SLURM cluster of two nodes on this machine, for tests of launch/slurm.sbatch.
#
#   benchmarks/faults/slurm_here.sh start DIR && export SLURM_CONF=DIR/slurm.conf
#   benchmarks/faults/slurm_here.sh stop DIR
#
# Needs root and Debian's slurm-wlm and munge. Everything lies in DIR, but for the names of the nodes
# in /etc/hosts, which "stop" removes. The nodes share the cores of the machine, one CPU each.
set -euo pipefail

usage="usage: $0 start|stop DIR"
[ $# -eq 2 ] || { echo "$usage" >&2; exit 2; }
nodes=(hepjax-a hepjax-b)
mark="# benchmarks/faults/slurm_here.sh"
mkdir -p "$2"
dir=$(cd "$2" && pwd)

stop() {
  for pid in "$dir"/*.pid; do
    [ -s "$pid" ] && kill "$(cat "$pid")" 2>/dev/null || true
  done
  # Not sed -i: in a container /etc/hosts is often a mount that cannot be replaced.
  { grep -vF "$mark" /etc/hosts || true; } >"$dir/hosts"
  cat "$dir/hosts" >/etc/hosts
}

start() {
  for program in munged slurmctld slurmd; do
    command -v "$program" >/dev/null || {
      echo "$program: expected this program, found none; apt install slurm-wlm munge" >&2
      exit 2
    }
  done
  [ "$(id -u)" = 0 ] || { echo "$0: expected root, found $(id -un)" >&2; exit 2; }
  trap stop ERR
  mkdir -p "$dir/state"
  for node in "${nodes[@]}"; do
    echo "127.0.0.1 $node $mark" >>/etc/hosts
  done
  head -c 128 /dev/urandom >"$dir/munge.key"
  chmod 600 "$dir/munge.key"
  munged --force --key-file="$dir/munge.key" --socket="$dir/munge.socket" \
    --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" --seed-file="$dir/munged.seed"
  # cred_expire: a requeued job waits until its old credentials have expired, 120 s by default.
  cat >"$dir/slurm.conf" <<END
ClusterName=hepjax
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=17800
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool-%n
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd-%n.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
ReturnToService=2
KillWait=30
SlurmdParameters=config_overrides
NodeName=${nodes[0]} NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=17801 CPUs=1
NodeName=${nodes[1]} NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=17802 CPUs=1
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
END
  export SLURM_CONF=$dir/slurm.conf
  slurmctld
  for node in "${nodes[@]}"; do
    slurmd -N "$node"
  done
  for _ in $(seq 100); do
    [ "$(sinfo --noheader --states=idle --format=%D 2>/dev/null)" = "${#nodes[@]}" ] && return
    sleep 0.2
  done
  echo "$dir: expected two idle nodes after 20 s, found: $(sinfo 2>&1 | tail -1)" >&2
  return 1
}

case $1 in
  start | stop) "$1" ;;
  *) echo "$usage" >&2; exit 2 ;;
esac
