/* test_align_input.c: FASTA files good and bad, written on the fly into a temporary directory, and align-serial run on them: its exit
 * code, its sentence, and its output byte for byte, against plain parasail and against other ways to cut the work. */
#include "fasta.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#define EXAMPLES "/usr/share/doc/mmseqs2/example-data"

static char directory[64];

static int enter_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_align.XXXXXX");
    return mkdtemp(directory) && chdir(directory) == 0 ? 0 : -1;
}

static int leave_directory(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return chdir("/") == 0 ? system(command) : -1;
}

static void write_file(const char *path, const void *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void write_gz(const char *path, const char *text)
{
    gzFile file = gzopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), (int)strlen(text));
    assert_int_equal(gzclose(file), Z_OK);
}

/* Contents of a file with a zero behind them; the caller frees. */
static char *read_file(const char *path, size_t *bytes_p)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &st)) fail_msg("%s cannot be read", path);
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(text);
    *bytes_p = fread(text, 1, (size_t)st.st_size, file);
    assert_int_equal(*bytes_p, st.st_size);
    fclose(file);
    return text;
}

static void expect_equal_files(const char *a, const char *b)
{
    size_t n_a, n_b;
    char *text_a = read_file(a, &n_a), *text_b = read_file(b, &n_b);
    assert_true(n_a > 0);
    assert_int_equal(n_a, n_b);
    assert_memory_equal(text_a, text_b, n_a);
    free(text_a);
    free(text_b);
}

static struct align_seqs read_good(const char *path, uint32_t max_seqs)
{
    struct align_seqs seqs;
    struct align_fault fault = {0};
    if (align_fasta_read(path, max_seqs, &seqs, &fault)) fail_msg("%s", fault.text);
    return seqs;
}

static void expect_sequence(const struct align_seqs *seqs, uint32_t i, const char *name, const char *residues)
{
    assert_string_equal(align_seqs_name(seqs, i), name);
    assert_int_equal(align_seqs_length(seqs, i), strlen(residues));
    assert_memory_equal(align_seqs_residues(seqs, i), residues, strlen(residues));
}

static void test_fasta_is_read_plain_and_gzip(void **state)
{
    (void)state;
    static const char text[] = "\n>one first protein\nACDE\nFG h\r\n\n> two\tx\r\nujo*\r\n>three\nM";
    write_file("plain.fa", text, strlen(text));
    write_gz("packed", text); /* told apart by content, not by name */
    for (int i = 0; i < 2; i++) {
        struct align_seqs seqs = read_good(i ? "packed" : "plain.fa", 0);
        assert_int_equal(seqs.n, 3);
        assert_int_equal(seqs.n_mapped, 3);
        expect_sequence(&seqs, 0, "one", "ACDEFGH");
        expect_sequence(&seqs, 1, "two", "CLK*");
        expect_sequence(&seqs, 2, "three", "M");
        align_seqs_fini(&seqs);
    }
    struct align_seqs two = read_good("plain.fa", 2);
    assert_int_equal(two.n, 2);
    expect_sequence(&two, 1, "two", "CLK*");
    align_seqs_fini(&two);
}

static void test_fasta_grows_over_blocks(void **state)
{
    (void)state;
    enum { N = 3000, LENGTH = 101 };
    char name[16], residues[LENGTH + 1];
    FILE *file = fopen("many.fa", "w");
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < LENGTH; j++) residues[j] = ALIGN_ALPHABET[(i + j) % 24];
        residues[LENGTH] = 0;
        fprintf(file, ">n%d\n%.50s\n%s\n", i, residues, residues + 50);
    }
    fclose(file);
    struct align_seqs seqs = read_good("many.fa", 0);
    assert_int_equal(seqs.n, N);
    for (uint32_t i = 0; i < N; i++) {
        for (uint32_t j = 0; j < LENGTH; j++) residues[j] = ALIGN_ALPHABET[(i + j) % 24];
        snprintf(name, sizeof name, "n%u", i);
        expect_sequence(&seqs, i, name, residues);
    }
    align_seqs_fini(&seqs);
}

static void expect_bad(const char *path, const char *sentence)
{
    struct align_seqs seqs;
    struct align_fault fault = {0};
    assert_int_equal(align_fasta_read(path, 0, &seqs, &fault), -1);
    assert_int_equal(fault.exit_code, ALIGN_EXIT_INPUT);
    assert_int_equal(seqs.n, 0);
    assert_null(seqs.residues);
    if (!strstr(fault.text, sentence)) fail_msg("'%s' does not say '%s'", fault.text, sentence);
}

static void expect_bad_text(const char *text, const char *sentence)
{
    write_file("bad.fa", text, strlen(text));
    expect_bad("bad.fa", sentence);
    if (!*text) return;
    write_gz("bad.fa", text);
    expect_bad("bad.fa", sentence);
}

static void test_fasta_bad_text_names_file_and_line(void **state)
{
    (void)state;
    char long_name[400] = ">";
    memset(long_name + 1, 'n', 300);
    expect_bad("missing.fa", "missing.fa cannot be opened: No such file");
    expect_bad(".", ". is a directory");
    expect_bad_text("", "bad.fa, line 1: the file is empty");
    expect_bad_text("\n \n", "bad.fa, line 3: the file holds no sequence");
    expect_bad_text("ACDE\n", "bad.fa, line 1: not FASTA: a line that starts with '>' must come first, not 'A'");
    expect_bad_text("\n\n@read\nACGT\n+\n", "bad.fa, line 3: not FASTA");
    expect_bad_text("\x7f" "ELF", "bad.fa, line 1: not FASTA: a line that starts with '>' must come first, not byte 0x7f");
    expect_bad_text(">a\nACD\nAC1E\n", "bad.fa, line 3: '1' is no letter of BLOSUM62");
    expect_bad_text(">a\nAC-E\n", "bad.fa, line 2: '-' is no letter");
    expect_bad_text(">a\nAC>b\n", "bad.fa, line 2: '>' is no letter");
    expect_bad_text(">a\nAC\xc3\xa4\n", "bad.fa, line 2: byte 0xc3 is no letter");
    expect_bad_text(">a\nAC\n>\nAC\n", "bad.fa, line 3: a header without a name");
    expect_bad_text(">a\nAC\n>", "bad.fa, line 3: a header without a name");
    expect_bad_text(">a\n>b\nAC\n", "bad.fa, line 1: the sequence a has no letters");
    expect_bad_text(">a\nAC\n>b\n", "bad.fa, line 3: the sequence b has no letters");
    expect_bad_text(">a\nAC\n>b", "bad.fa, line 3: the sequence b has no letters");
    expect_bad_text(">a\033[2J\nAC\n", "bad.fa, line 1: the name holds the control character byte 0x1b");
    expect_bad_text(long_name, "bad.fa, line 1: the name is longer than 255 bytes");
}

/* Cut the gzip file at every length: each cut must be seen, but for nothing (empty) and one byte (no gzip yet). */
static void test_fasta_truncated_gzip_is_seen(void **state)
{
    (void)state;
    size_t n;
    write_gz("whole.gz", ">a some protein\nACDEFGHIKLMNPQRSTVWY\n>b\nWWWWWHHHHPPPPACDACDEEFKRKR\nMNMNMST\n");
    char *bytes = read_file("whole.gz", &n);
    for (size_t cut = 2; cut < n; cut++) {
        write_file("cut.gz", bytes, cut);
        expect_bad("cut.gz", "the gzip data end too early; the file is truncated");
    }
    write_file("cut.gz", bytes, 1);
    expect_bad("cut.gz", "line 1: not FASTA");
    bytes[n - 6] ^= 1; /* the checksum */
    write_file("cut.gz", bytes, n);
    expect_bad("cut.gz", "cut.gz, line 1 or later: the gzip data are damaged: incorrect data check");
    bytes[20] ^= 0x55;
    write_file("cut.gz", bytes, n);
    expect_bad("cut.gz", "cut.gz, line ");
    free(bytes);
}

static int run(const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof command, "%s %s >out.txt 2>err.txt", ALIGN_SERIAL, arguments);
    int status = system(command);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void expect_run(const char *arguments, int code, const char *path, const char *sentence)
{
    size_t n;
    int got = run(arguments);
    char *text = read_file(path, &n);
    if (got != code || !strstr(text, sentence)) fail_msg("exit code %d, '%s', where %d and '%s' should be", got, text, code, sentence);
    free(text);
}

static void test_program_bad_use_exits_with_2(void **state)
{
    (void)state;
    write_file("good.fa", ">a\nACDE\n", 8);
    write_file("wrong.fa", ">a\nAC1E\n", 8);
    expect_run("--query missing.fa --db good.fa", 2, "err.txt", "align-serial: missing.fa cannot be opened: No such file");
    expect_run("--query good.fa --db wrong.fa", 2, "err.txt", "wrong.fa, line 2: '1' is no letter");
    expect_run("--query good.fa", 2, "err.txt", "--db FILE is missing");
    expect_run("--query good.fa --db good.fa --out good.fa", 2, "err.txt", "--out good.fa is not a directory");
    expect_run("--query good.fa --db good.fa --out no/such", 2, "err.txt", "--out no/such cannot be made");
    expect_run("--help", 0, "out.txt", "--chunk-residues");
    assert_int_equal(mkdir("blocked", 0777), 0);
    assert_int_equal(mkdir("blocked/hits.tsv", 0777), 0);
    expect_run("--query good.fa --db good.fa --out blocked", 1, "err.txt", "blocked/hits.tsv cannot be written: Is a directory");
}

static void test_program_writes_exactly_this(void **state)
{
    (void)state;
    static const char queries[] = ">q1 x\nWWWW\n>q2\nHHH\n>q3\nPP\n";
    static const char subjects[] = ">s1\nWWWWA\n>s2\nAHHH\n>s3\nWW\n>s4\nGGWWWW\n";
    static const char expected[] = "query\tsubject\tscore\tquery_length\tsubject_length\n"
                                   "q1\ts1\t44\t4\t5\nq1\ts4\t44\t4\t6\nq2\ts2\t24\t3\t4\n";
    size_t n;
    write_file("q.fa", queries, strlen(queries));
    write_gz("s.fa.gz", subjects);
    expect_run("--query q.fa --db s.fa.gz --top 2 --out small", 0, "out.txt", "GCUPS");
    char *text = read_file("small/hits.tsv", &n);
    assert_string_equal(text, expected);
    free(text);
    char *png = read_file("small/scores.png", &n);
    assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
    free(png);
    text = read_file("out.txt", &n);
    assert_non_null(strstr(text, "no hit")); /* q3 */
    free(text);
}

static void write_random(const char *path, uint64_t seed, int n, int length_max)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < n; i++) {
        fprintf(file, ">r%d\n", i);
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        for (int length = 1 + (int)((seed >> 33) % (unsigned)length_max); length > 0; length--) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            fputc(ALIGN_ALPHABET[(seed >> 33) % 20], file);
        }
        fputc('\n', file);
    }
    fclose(file);
}

static void expect_same_output(const char *arguments, const char *options_a, const char *options_b)
{
    char command[512];
    snprintf(command, sizeof command, "%s %s --out a", arguments, options_a);
    expect_run(command, 0, "out.txt", "GCUPS");
    snprintf(command, sizeof command, "%s %s --out b", arguments, options_b);
    expect_run(command, 0, "out.txt", "GCUPS");
    expect_equal_files("a/hits.tsv", "b/hits.tsv");
    expect_equal_files("a/scores.png", "b/scores.png");
}

static void test_program_output_does_not_depend_on_the_cut(void **state)
{
    (void)state;
    write_random("rq.fa", 1, 40, 300);
    write_random("rs.fa", 2, 1500, 60); /* short ones: many equal scores */
    expect_same_output("--query rq.fa --db rs.fa --top 50", "", "--chunk-residues 1");
    expect_same_output("--query rq.fa --db rs.fa --top 50", "--chunk-residues 777", "--plain");
}

static void test_program_equals_plain_parasail_on_real_proteins(void **state)
{
    (void)state;
    if (access(EXAMPLES "/QUERY.fasta.gz", R_OK) || access(EXAMPLES "/DB.fasta.gz", R_OK)) {
        print_message("skipped: the Debian package mmseqs2-examples is not there, or its documents are excluded\n");
        skip();
    }
    expect_same_output("--query " EXAMPLES "/QUERY.fasta.gz --db " EXAMPLES "/DB.fasta.gz --max-queries 5 --max-subjects 300 --top 300",
                       "", "--plain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fasta_is_read_plain_and_gzip),
        cmocka_unit_test(test_fasta_grows_over_blocks),
        cmocka_unit_test(test_fasta_bad_text_names_file_and_line),
        cmocka_unit_test(test_fasta_truncated_gzip_is_seen),
        cmocka_unit_test(test_program_bad_use_exits_with_2),
        cmocka_unit_test(test_program_writes_exactly_this),
        cmocka_unit_test(test_program_output_does_not_depend_on_the_cut),
        cmocka_unit_test(test_program_equals_plain_parasail_on_real_proteins),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
