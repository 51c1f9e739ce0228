#!/usr/bin/env bash
# test_runs.sh hits|faults RANKS: run align on so many ranks (or as local) by tests/run_mpi.sh, which also sees that nothing is left over.
#   hits    hits.tsv and scores.png are those of align-serial, byte for byte
#   faults  bad input and full disks: the exit code, and one sentence, from one rank
# Environment: ALIGN, ALIGN_SERIAL and RUN_MPI, the programs; MRAY_WORKERS and what else run_mpi.sh and mray take.
set -uo pipefail
what=$1
ranks=$2
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory" || exit 1
failed=0
fail() {
    echo "test_runs: $*"
    failed=1
}

# N proteins from a seed, by Park and Miller's generator: every sixth starts with a piece of the first, so that there are high scores too.
make_proteins() {
    awk -v n="$1" -v seed="$2" 'BEGIN {
        letters = "ARNDCQEGHILKMFPSTWYV"
        for (i = 1; i <= n; i++) {
            text = ""
            for (wanted = 50 + i * 37 % 600; length(text) < wanted;) {
                seed = seed * 16807 % 2147483647
                text = text substr(letters, seed % 20 + 1, 1)
            }
            if (i == 1) first = text
            if (i % 6 == 0) text = substr(first, i % 20 + 1) text
            print ">protein" i "\n" text
        }
    }'
}

examples=/usr/share/doc/mmseqs2/example-data
if [[ -r $examples/QUERY.fasta.gz && -r $examples/DB.fasta.gz ]]; then
    query=$examples/QUERY.fasta.gz db=$examples/DB.fasta.gz
else
    query=query.fasta db=db.fasta
    make_proteins 50 4711 >$query
    { head -n 2 $query | sed 's/>.*/>the_first_query/'; make_proteins 500 815; } >$db
fi

# run EXIT_CODE ARG...: its output is in the files out and err.
run() {
    local code=$1
    shift
    MRAY_TEST_EXIT=$code "$RUN_MPI" "$ranks" "$ALIGN" "$@" >out 2>err && return 0
    fail "align $*: expected exit code $code"
    cat out err
}

test_hits() {
    local work=(--query "$query" --db "$db" --max-queries 40 --max-subjects 400 --top 7)
    "$ALIGN_SERIAL" "${work[@]}" --out serial >serial.txt 2>/dev/null || fail "align-serial failed"
    run 0 "${work[@]}" --chunk-residues 10000 --out parallel
    [[ $(wc -l <serial/hits.tsv) -gt 200 ]] || fail "too few hits to compare"
    cmp serial/hits.tsv parallel/hits.tsv || fail "the hits differ"
    cmp serial/scores.png parallel/scores.png || fail "the pictures differ"
    # The tables, down to the names of the files and the rate.
    cmp <(sed 's/serial/parallel/g' serial.txt | head -n -1) <(tr -d '\r' <out | head -n -1) || fail "the tables differ"
    grep -q '^100% done, .* GCUPS' err || fail "no line of progress for the end of the work"
    [[ $(grep -c '% done' err) -le 11 ]] || fail "too many lines of progress"
    grep 'warning' err && fail "objects are left over"
    [[ $failed -eq 0 ]] || cat out err
}

# sentence EXIT_CODE PATTERN ARG...: one line of stderr matches.
sentence() {
    local code=$1 pattern=$2
    shift 2
    run "$code" "$@"
    [[ $(grep -cE "^align: .*$pattern" err) -eq 1 ]] || { fail "align $*: not once: $pattern"; cat err; }
}

test_faults() {
    printf '>one\nACDEFGHIKL\n>two\nMNPQRSTVWY\n' >good.fasta
    : >empty.fasta
    printf 'ACDEF\n' >text.fasta
    printf '>one\nACDEF\nGH1IK\n' >letter.fasta
    make_proteins 20 1 | gzip >whole.gz
    head -c "$(($(wc -c <whole.gz) / 2))" whole.gz >cut.fasta.gz
    : >a_file
    mkdir full
    ln -s /dev/full full/hits.tsv

    sentence 2 'missing\.fasta.*No such file' --query missing.fasta --db good.fasta
    sentence 2 'empty\.fasta, line 1: ' --query empty.fasta --db good.fasta
    sentence 2 'text\.fasta, line 1: not FASTA' --query good.fasta --db text.fasta
    sentence 2 'cut\.fasta\.gz, line [0-9]+: .*truncated' --query good.fasta --db cut.fasta.gz
    sentence 2 'letter\.fasta, line 3: .* no letter' --query letter.fasta --db good.fasta
    sentence 1 'full/hits\.tsv.*No space left' --query good.fasta --db good.fasta --out full
    # A task that fails: its scores are larger than the store.
    awk 'BEGIN { for (i = 0; i < 20000; i++) print ">protein" i "\nA" }' >many.fasta
    head -n 512 many.fasta >some.fasta
    MRAY_STORE_BYTES=4M MRAY_STORE_FULL_TIMEOUT=100 \
        sentence 1 "task 'align_score' .* the object store is full" --query some.fasta --db many.fasta
    if [[ $ranks == local ]]; then
        sentence 2 "no option" --query good.fasta --db good.fasta --colour
        sentence 2 'a_file is not a directory' --query good.fasta --db good.fasta --out a_file
        if [[ $(id -u) -ne 0 ]]; then
            mkdir -m 555 locked
            sentence 2 'locked.*Permission denied' --query good.fasta --db good.fasta --out locked
        fi
    fi
    run 0 --help
    [[ $(grep -c '^usage: align' out) -eq 1 ]] || { fail "no help, or more than once"; cat out; }
}

"test_$what"
exit "$failed"
