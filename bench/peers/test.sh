#!/usr/bin/env bash
# test.sh BUILD: bench/peers/run with the one peer that is always there, raw MPI, and what bench/report makes of its rows; nothing is installed.
# Exit code 77 where Python or matplotlib is missing.
set -euo pipefail
build=$1 folder=$1/bench/peers
here=$(dirname "$(readlink -f "$0")")
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
python3 -c 'import matplotlib' 2>/dev/null || /usr/bin/python3 -c 'import matplotlib' 2>/dev/null ||
    { echo "skipped: no matplotlib (Debian: python3-matplotlib)"; exit 77; }
rm -rf "$folder"
mkdir -p "$folder"
"$here/run" --build "$build" --quick --peers mpi --json "$folder/peers.json"
python3 - "$folder/peers.json" "$folder/rows.json" <<'END_PYTHON'
import json, sys
data = json.load(open(sys.argv[1]))
rows = {row["case"]: row for row in data["rows"]}
assert "mpi.task_sync" in rows, sorted(rows)  # METG of a busy machine may be unclear
for row in rows.values():
    assert row["min"] <= row["value"] <= row["max"] and row["reps"] == 1, row
    assert abs(row["ratio"] - row["value"] / row["reference_value"]) < 1e-9 * row["ratio"], row
json.dump({"header": data["header"], "rows": []}, open(sys.argv[2], "w"))
END_PYTHON
"$here/../report" "$folder/rows.json" --peers "$folder/peers.json" --out "$folder"
grep -q '## Peers' "$folder/benchmarks.md"
grep -q '`task_sync`: a no-op submitted' "$folder/benchmarks.md"
