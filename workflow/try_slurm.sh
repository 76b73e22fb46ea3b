#!/bin/bash
# The Slurm profile tried on a real Slurm of one node: this machine, as root; ends what it started. Not in CI.
#   apt-get install -y --no-install-recommends slurm-wlm munge     once
#   make .venv-workflow/.made                                      Snakemake with its Slurm executor; WORKFLOW_VENV names another one
#   workflow/try_slurm.sh FOLDER                                   an empty folder, which is kept: logs of Slurm and of the jobs
# Two runs of a made-up truepose (it sleeps and writes a manifest), the second of which needs the first: each must be a job of Slurm.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=${WORKFLOW_VENV:-$here/../.venv-workflow}
mkdir -p "$1" && cd "$1"
folder=$(pwd)
mkdir -p state spool params/e

cat > slurm.conf <<END
ClusterName=one
SlurmctldHost=$(hostname -s)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
MinJobAge=300
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/jobs.txt
NodeName=$(hostname -s) CPUs=$(getconf _NPROCESSORS_CONF) RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES State=UP
END
conf=/etc/slurm/slurm.conf  # srun within a job looks there alone
[[ ! -e $conf ]] || { echo "$conf: this machine has a Slurm of its own; use the profile on it" >&2; exit 1; }
mkdir -p /etc/slurm && ln -s "$folder/slurm.conf" $conf
started=()
finish() { rm -f $conf; for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || true; done; }
trap finish EXIT

# the socket of munge is its own, so that one that runs already stays as it is
head -c 1024 /dev/urandom > munge.key && chmod 400 munge.key
chmod 755 .
/usr/sbin/munged --foreground --force --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munge.pid" \
    --log-file="$folder/munge.log" --seed-file="$folder/munge.seed" > munge.out 2>&1 & started+=($!)
until [[ -S munge.socket ]]; do sleep .2; done
/usr/sbin/slurmctld -D > slurmctld.out 2>&1 & started+=($!)
/usr/sbin/slurmd -D > slurmd.out 2>&1 & started+=($!)
for _ in $(seq 60); do sinfo -h -o %T 2> /dev/null | grep -q idle && break; sleep 1; done
sinfo

echo "steps: 1" > params/e/x.yaml
cat > truepose <<'END'
#!/bin/bash
variant=${!#}; variant=${variant#variant=}
echo "$variant: job ${SLURM_JOB_ID:-none} on $(hostname -s), OMP_NUM_THREADS=$OMP_NUM_THREADS" >> calls
sleep 2
mkdir -p "runs/e/tiny-$variant" "runs/e/$variant/1"
echo '{"params": {"steps": 1}}' > "runs/e/$variant/1/manifest.json"
echo "written: runs/e/$variant/1"
END
chmod +x truepose
cat > runs.yaml <<'END'
runs:
- {groups: g, makes: runs/e/tiny-first, command: run params/e/x.yaml -p variant=first, minutes: 1}
- {groups: g, makes: runs/e/tiny-second, command: run params/e/x.yaml -p variant=second, needs: runs/e/tiny-first, minutes: 1}
END
cd "$here/.."
"$venv/bin/snakemake" g --profile workflow/profiles/slurm --directory "$folder/own" --slurm-init-seconds-before-status-checks 5 --slurm-status-command squeue --latency-wait 5 \
    --set-resources runs_e_tiny_first:mem_mb=500 runs_e_tiny_second:mem_mb=500 \
    --config "root=$folder" "list=$folder/runs.yaml" "truepose=$folder/truepose"
cat "$folder/calls" "$folder/jobs.txt"
[[ $(grep -c "job [0-9]" "$folder/calls") == 2 ]] && echo "both ran as jobs of Slurm"
