#!/bin/bash
# endpoint.sh KIND ID TARGET SECS OUTDIR [more options of the driver]
#   KIND   baresip | linphone
#   ID     0..7: colour, bar code and tone (see mkpat.py)
#   TARGET sip:ROOM@HOST:PORT[;transport=tcp], or 'answer' to wait for a call
# Leaves OUTDIR/recv.wav, snap-*.png, log.txt, summary.json and judge.json.
# PY: a python3 with numpy, opencv-python-headless, av.  PAT: patterns (made at first use).
set -e
K=$(cd "$(dirname "$0")" && pwd); PY=${PY:-python3}; PAT=${PAT:-$(dirname "$(mktemp -u)")/patterns}
KIND=$1 ID=$2 T=$3 SECS=$4 OUT=$5; shift 5
[ -f $PAT/pat$ID.mkv ] || $PY $K/mkpat.py $ID $PAT 60
if [ "$T" = answer ]; then D=(--answer); else D=(--dial "$T"); fi
case $KIND in baresip) S=bsip.py;; linphone) S=lin.py;; *) echo "unknown endpoint $KIND" >&2; exit 2;; esac
rc=0
$PY $K/$S --id $ID --secs $SECS --out $OUT --pat $PAT "${D[@]}" "$@" || rc=$?
$PY $K/judge.py dir $OUT > $OUT/judge.json; cat $OUT/judge.json
exit $rc
