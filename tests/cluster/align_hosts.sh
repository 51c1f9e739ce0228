#!/usr/bin/env bash
# The main job on two hosts: the same hits as in one process without mray, byte for byte.
set -u
here=$(dirname "$(readlink -f "$0")")
source "$here/nshosts.sh"
source "$here/programs.sh"
align=$MRAY_BUILD_DIR/examples/align/align
[[ -x $align && -x ${align}-serial ]] || hosts_skip "examples/align is not built"
hosts_up 2
perl -e 'srand 7; my @a = split //, "ARNDCQEGHILKMFPSTWYV";
    for my $f ([$ARGV[0], "q", 6], [$ARGV[1], "s", 200]) {
        open my $o, ">", $f->[0] or die;
        for my $i (1 .. $f->[2]) { print $o ">$f->[1]$i\n", join("", map { $a[rand 20] } 1 .. 60 + int rand 200), "\n" }
    }' "$NSHOSTS_DIR/query.fasta" "$NSHOSTS_DIR/db.fasta"
args=(--query "$NSHOSTS_DIR/query.fasta" --db "$NSHOSTS_DIR/db.fasta" --chunk-residues 4000)
"$align-serial" "${args[@]}" --out "$NSHOSTS_DIR/serial" >"$NSHOSTS_DIR/serial.log" 2>&1 || { cat "$NSHOSTS_DIR/serial.log"; exit 1; }
for mode in process thread; do
    for ranks in 1 2; do
        rm -rf "$NSHOSTS_DIR/out"
        run_on_hosts $ranks $mode "$align" "${args[@]}" --out "$NSHOSTS_DIR/out"
        cmp "$NSHOSTS_DIR/serial/hits.tsv" "$NSHOSTS_DIR/out/hits.tsv" || n_failed=$((n_failed + 1))
    done
done
programs_verdict
