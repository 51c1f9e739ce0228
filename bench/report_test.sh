#!/usr/bin/env bash
# report_test.sh RUN_MPI PROGRAM FOLDER: what mray-bench writes is what bench/report reads: every row has its fields, and page and plots come out.
# Exit code 77 where Python or matplotlib is missing.
set -euo pipefail
run_mpi=$1 program=$2 folder=$3
here=$(dirname "$(readlink -f "$0")")
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
python3 -c 'import matplotlib' 2>/dev/null || /usr/bin/python3 -c 'import matplotlib' 2>/dev/null ||
    { echo "skipped: no matplotlib (Debian: python3-matplotlib)"; exit 77; }
rm -rf "$folder"
mkdir -p "$folder"
"$run_mpi" 2 "$program" --quick --reps 3 --case task_sync,get_10k,get_view,startup --json "$folder/rows.json"
python3 - "$folder/rows.json" <<'END'
import json, sys
data = json.load(open(sys.argv[1]))
assert {"cpu", "cores", "kernel", "mpi", "mray", "date", "ranks", "hosts"} <= set(data["header"]), data["header"]
rows = {row["case"]: row for row in data["rows"]}
assert set(rows) == {"task_sync", "get_10k", "get_view.64K", "get_view.64M", "startup"}, sorted(rows)
assert "runs of its own" in rows.pop("startup")["skipped"]
for row in rows.values():
    assert {"value", "unit", "reference", "reference_value", "ratio", "must", "aim", "reps", "min", "max", "ranks", "hosts", "workers"} <= set(row), row
    assert row["min"] <= row["value"] <= row["max"] and row["reps"] == 3 and row["ranks"] == 2 and row["workers"] == 1, row
    if row["reference"] is not None:
        assert abs(row["ratio"] - row["value"] / row["reference_value"]) < 1e-4 * row["ratio"], row
END
# The page of bench/run's merged file has the greatest load, too.
python3 - "$folder/rows.json" <<'END'
import json, sys
data = json.load(open(sys.argv[1]))
data["header"]["load_max"] = data["header"]["load"]
json.dump(data, open(sys.argv[1], "w"))
END
"$here/report" "$folder/rows.json" --out "$folder"
grep -q '`task_sync`' "$folder/benchmarks.md"
grep -q '`startup`: needs runs of its own' "$folder/benchmarks.md"
grep -q '<svg' "$folder/benchmarks/ratios.svg"
