#!/usr/bin/env perl
# docs.pl programs|statuses|links ROOT ...: what the documentation says and a machine can check.
#
# programs ROOT WORK RUN CC [FLAG...]  Every ```c block with a main() in README.md and docs/guide/*.md is compiled, linked and run (by RUN, which
#                                      is tests/run_mpi.sh); what it prints must be the ```text block behind it, if one follows directly. A block
#                                      ```c ranks=N runs under mpirun -n N, others alone. A ```c block without main() is a look at one of
#                                      the page's programs: each of its lines stands in one of them.
# statuses ROOT                        The table of docs/guide/errors.md has the rows of MRAY_STATUS_TABLE in include/mray/status.h: same codes, same
#                                      texts, same order, and a word on what to do.
# links ROOT                           Links to files of the tree, and paths of its sources that a page names, exist.
use strict;
use warnings;

my ($what, $root, @rest) = @ARGV;
die "usage: docs.pl programs|statuses|links ROOT ...\n" unless defined $root;
chdir $root or die "docs: cannot enter $root: $!\n";
my $n_errors = 0;

sub complain {
    print "$_[0]\n";
    $n_errors++;
}

sub read_file {
    my ($file) = @_;
    open my $fh, '<', $file or die "docs: cannot read $file: $!\n";
    local $/;
    return scalar <$fh> // '';
}

sub write_file {
    my ($file, $text) = @_;
    open my $fh, '>', $file or die "docs: cannot write $file: $!\n";
    print $fh $text;
    close $fh or die "docs: cannot write $file: $!\n";
}

# The fenced blocks of a page, in order: {lang, info, text, line, next_to}: next_to is true if only blank lines lie between it and the one before.
sub blocks_of {
    my ($file) = @_;
    my ($line, $open, $between, @blocks) = (0, undef, 0);
    for my $text (split /^/m, read_file($file)) {
        $line++;
        if ($open) {
            if ($text =~ /^```\s*$/) { push @blocks, $open; $open = undef; $between = 0; }
            else { $open->{text} .= $text; }
        } elsif ($text =~ /^```(\w*)[ \t]*(.*?)\s*$/) {
            $open = {lang => $1, info => $2, text => '', line => $line, next_to => !$between};
        } elsif ($text =~ /\S/) {
            $between = 1;
        }
    }
    complain("$file: a block has no end") if $open;
    return @blocks;
}

sub indent { my ($text) = @_; $text =~ s/^/    /mg; return $text; }

# Compile and run one program; $expected may be undef.
sub try_program {
    my ($where, $name, $block, $expected, $work, $run, @cc) = @_;
    my $ranks = $block->{info} =~ /ranks=(\d+)/ ? $1 : 'local';
    write_file("$work/$name.c", $block->{text});
    my $said = qx{$cc[0] -std=gnu17 -Wall -Wextra -Werror -o '$work/$name' '$work/$name.c' @cc[1 .. $#cc] 2>&1};
    return complain("$where does not compile:\n" . indent($said)) if $? != 0;
    my $printed = qx{'$run' $ranks '$work/$name' 2>'$work/$name.err'};
    return complain("$where fails:\n" . indent($printed . read_file("$work/$name.err"))) if $? != 0;
    return complain("$where prints\n" . indent($printed) . "and the page says\n" . indent($expected)) if defined $expected && $printed ne $expected;
}

sub programs {
    my ($work, @how) = @rest;
    die "docs: programs ROOT WORK RUN CC ...\n" unless @how >= 2;
    mkdir $work;
    my ($n_programs, $n_looks) = (0, 0);
    for my $page ('README.md', sort glob 'docs/guide/*.md') {
        my @blocks = blocks_of($page);
        my @programs = grep { $_->{lang} eq 'c' && $_->{text} =~ /\bint main\(/ } @blocks;
        my %is_line = map { my $l = $_; $l =~ s/^\s+|\s+$//g; $l => 1 } map { split /\n/, $_->{text} } @programs;
        for my $i (0 .. $#blocks) {
            my $block = $blocks[$i];
            next if $block->{lang} ne 'c';
            my $where = "$page:$block->{line}";
            if ($block->{text} =~ /\bint main\(/) {
                my $after = $i < $#blocks && $blocks[$i + 1]{lang} eq 'text' && $blocks[$i + 1]{next_to} ? $blocks[$i + 1]{text} : undef;
                (my $name = $page) =~ s{^.*/|\.md$}{}g;
                try_program($where, "$name\_$block->{line}", $block, $after, $work, @how);
                $n_programs++;
            } else {
                for my $line (split /\n/, $block->{text}) {
                    $line =~ s/^\s+|\s+$//g;
                    complain("$where: in no program of the page: $line") unless $line eq '' || $line eq '...' || $is_line{$line};
                }
                $n_looks++;
            }
        }
    }
    complain('no program was found') if $n_programs == 0;
    print "docs.programs: $n_programs programs, $n_looks looks at them\n";
}

sub statuses {
    my $header = read_file('include/mray/status.h');
    my @rows = map { "$_->[0] | $_->[1] | $_->[2]" } map { [/X\((\w+), (\d+), "([^"]*)"\)/] } $header =~ /X\(\w+, \d+, "[^"]*"\)/g;
    my @said;
    for my $line (split /\n/, read_file('docs/guide/errors.md')) {
        next unless $line =~ /^\| ((?:ERR_\w+|OK)) \| (\d+) \| (.*?) \| (.*?) \|$/;
        push @said, "$1 | $2 | $3";
        complain("errors.md says nothing to do about $1") if $4 !~ /\w/;
    }
    for my $i (0 .. ($#rows > $#said ? $#rows : $#said)) {
        my ($row, $said) = ($rows[$i] // 'nothing', $said[$i] // 'nothing');
        complain("row " . ($i + 1) . ": status.h has   $row\n       errors.md has  $said") if $row ne $said;
    }
    complain('status.h has no table') unless @rows;
    print "docs.statuses: " . @rows . " codes\n";
}

sub links {
    my ($n, %seen) = (0);
    for my $page (sort 'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', glob('docs/*/*.md'), glob('examples/*/README.md')) {
        my $text = read_file($page);
        (my $folder = $page) =~ s{[^/]*$}{};
        while ($text =~ /\]\(([^)#\s]+)(?:#[^)]*)?\)/g) {
            my $to = $1;
            next if $to =~ /^\w+:/;
            $n++;
            complain("$page: no such file: $to") unless -e "$folder$to";
        }
        while ($text =~ m{(?<![\w/.-])((?:src|include|tests|examples|docs|slurm|cmake|scripts|bench)/[\w/.-]+\.(?:c|h|md|sh|pl|sbatch|cmake))\b}g) {
            my $to = $1;
            next if $seen{"$page $to"}++;
            $n++;
            complain("$page: no such file: $to") unless -e $to;
        }
    }
    print "docs.links: $n links and paths\n";
}

my %checks = (programs => \&programs, statuses => \&statuses, links => \&links);
my $check = $checks{$what} or die "docs: no check '$what'\n";
$check->();
exit($n_errors ? 1 : 0);
