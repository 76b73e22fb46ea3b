#!/bin/bash
# One job of the workflow, in the repository's root: workflow/job.sh MAKES WORDS...
# `truepose WORDS` makes MAKES. Results are published at once; a figure's run is named in $STAMP, and all figures are published together; one of which
# nothing is published yet draws nothing, and names none.
# TRUEPOSE: the command; LAUNCH: what stands before it where something is trained; TRUEPOSE_DEADLINE: seconds since 1970, when it is asked to save and stop.
set -euo pipefail
makes=$1; shift
truepose=${TRUEPOSE:-.venv/bin/truepose}
launch=""
[[ $makes == runs/* ]] && launch=${LAUNCH:-}

if [[ $makes == results/* || $makes == figures/* ]]; then  # said now rather than after the work
    changed=$(git status --porcelain --untracked-files=no; git ls-files --others --exclude-standard nbs truepose)
    [[ -z $changed ]] || { echo "$makes: the checkout is dirty, so nothing could be published: commit first, or run in a clone; $(head -1 <<< "$changed")" >&2; exit 1; }
fi
if [[ -n ${TRUEPOSE_DEADLINE:-} ]]; then
    left=$((TRUEPOSE_DEADLINE - $(date +%s) - 60))
    ((left > 60)) || { echo "$makes: the time is up; the same command goes on" >&2; exit 75; }
    launch="timeout --foreground --signal=TERM --kill-after=55 $left $launch"
fi

echo "+ truepose $*" >&2
written=$($launch $truepose "$@" | tee /dev/stderr | sed -n 's/^written: //p')
case $makes in
    results/*) $truepose publish "$written" >&2 ;;
    figures/*) compgen -G "$written/figures/*.json" > /dev/null && echo "$written" > "$STAMP" || : > "$STAMP"; exit ;;
esac
[[ -e $makes ]] || { echo "$makes: not there, though \`truepose $*\` ended well: the list is wrong" >&2; exit 1; }
