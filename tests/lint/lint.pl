#!/usr/bin/env perl
# lint.pl layers|files|words ROOT: the rules of the source tree a compiler does not check. Needs perl alone.
#
# layers  A file of src/<layer> includes headers of its own and earlier layers, by plain name. Only net/ includes mpi.h, only topo/ hwloc.h
#         (and include/mray/mpi.h, for users). A .c file declares nothing that another file defines: neither with extern nor by
#         a prototype. Headers include each other in no cycle. A header's name is in the tree once.
# files   Every src/*/*.c has a header of its name or defines static functions and objects only. No source is longer than 600 lines.
# words   No path of a home or work directory and no forgotten mark in a file that is or may be committed.
use strict;
use warnings;

my @layers = qw(base topo net gcs store sched exec obs api);
my %layer_index;
@layer_index{@layers} = 0 .. $#layers;
my $max_lines = 600;

my ($what, $root) = @ARGV;
die "usage: lint.pl layers|files|words ROOT\n" unless defined $root;
chdir $root or die "lint: cannot enter $root: $!\n";
my $n_errors = 0;

sub complain {
    my ($file, $line, $text) = @_;
    print $line ? "$file:$line: $text\n" : "$file: $text\n";
    $n_errors++;
}

sub read_text {
    my ($file) = @_;
    open my $fh, '<', $file or die "lint: cannot read $file: $!\n";
    local $/;
    my $text = <$fh>;
    return defined $text ? $text : '';
}

# The text with comments and the insides of literals blanked; newlines stay, so that line numbers do.
sub blank_comments {
    my ($text) = @_;
    my $blank = sub { my $s = shift; $s =~ s/[^\n]/ /g; $s };
    $text =~ s{(/\*.*?\*/|//[^\n]*)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')}
              {defined $1 ? $blank->($1) : keep_literal($2)}gse;
    return $text;
}

sub keep_literal {
    my ($literal) = @_;
    my $quote = substr $literal, 0, 1;
    return $literal if $literal =~ m{^"[\w./-]*"$}; # may be an include
    return $quote . ('_' x (length($literal) - 2)) . $quote;
}

# The statements of file scope: [line, text, kind], kind being ';' or '{'. Preprocessor lines and bodies are left out.
sub file_scope_statements {
    my ($text) = @_;
    $text =~ s/^([ \t]*#(?:[^\n]*\\\n)*[^\n]*)/my $s = $1; $s =~ s{[^\n]}{}g; $s/gem;
    $text =~ s/\bextern\s+"C"\s*\{/ /g;
    my ($depth, $line, $start, $current) = (0, 1, 1, '');
    my @statements;
    for my $token ($text =~ /(\n|[{};]|[^\n{};]+)/g) {
        if ($token eq "\n") {
            $line++;
            $current .= ' ' if $depth == 0;
        } elsif ($token eq '{') {
            # The braces of an initialiser, struct or enum belong to the statement; those of a function end it.
            if ($depth == 0 && $current =~ /\)\s*(?:__attribute__.*)?$/ && $current !~ /=/) {
                push @statements, [$start, $current, '{'];
                $current = '';
            }
            $depth++;
        } elsif ($token eq '}') {
            $depth-- if $depth > 0;
        } elsif ($token eq ';') {
            next if $depth > 0;
            push @statements, [$start, $current, ';'] if $current =~ /\S/;
            $current = '';
        } elsif ($depth == 0) {
            $start = $line if $current !~ /\S/;
            $current .= $token;
        }
    }
    $_->[1] =~ s/\s+/ /g, $_->[1] =~ s/^ // for @statements;
    return @statements;
}

sub sources {
    my @patterns = @_;
    return sort map { glob } @patterns;
}

sub strip_attributes {
    my ($statement) = @_;
    1 while $statement =~ s/__attribute__\s*(\((?:[^()]++|(?1))*\))//;
    return $statement;
}

sub check_includes {
    my (%where, %includes);
    for my $header (map { sources("src/$_/*.h") } @layers) {
        my ($layer, $name) = $header =~ m{^src/(\w+)/(.+)$};
        complain($header, 0, "a header of this name is in src/$where{$name} too") if exists $where{$name};
        $where{$name} = $layer;
    }
    for my $file (sources(map { ("src/$_/*.c", "src/$_/*.h") } @layers)) {
        my ($layer) = $file =~ m{^src/(\w+)/};
        my $line = 0;
        for (split /\n/, blank_comments(read_text($file))) {
            $line++;
            next unless /^\s*#\s*include\s*([<"])([^>"]+)[>"]/;
            my ($kind, $name) = ($1, $2);
            if ($kind eq '<') {
                complain($file, $line, "<$name>: only src/net includes MPI") if $name =~ m{^(mpi|mpi-ext|mray/mpi)\.h$} && $layer ne 'net';
                complain($file, $line, "<$name>: only src/topo includes hwloc") if $name =~ m{^hwloc(\.h$|/)} && $layer ne 'topo';
                complain($file, $line, "<$name>: an include must not leave its folder") if $name =~ m{\.\.};
            } elsif ($name =~ m{/}) {
                complain($file, $line, "\"$name\": include by plain name (public headers as <mray/x.h>)");
            } elsif (!exists $where{$name}) {
                complain($file, $line, "\"$name\": no header of a layer has this name");
            } elsif ($layer_index{$where{$name}} > $layer_index{$layer}) {
                complain($file, $line, "\"$name\" belongs to the later layer $where{$name}");
            } else {
                push @{$includes{$file}}, "src/$where{$name}/$name";
            }
        }
    }
    for my $file (sources('include/mray/*.h')) {
        my $line = 0;
        for (split /\n/, blank_comments(read_text($file))) {
            $line++;
            next unless /^\s*#\s*include\s*([<"])([^>"]+)[>"]/;
            my $name = $2;
            complain($file, $line, "\"$name\": include public headers as <mray/x.h>") if $1 eq '"';
            complain($file, $line, "<$name>: only mray/mpi.h includes MPI") if $name eq 'mpi.h' && $file ne 'include/mray/mpi.h';
            complain($file, $line, "<$name>: no public header includes hwloc") if $name =~ m{^hwloc(\.h$|/)};
            push @{$includes{$file}}, "include/$name" if $name =~ m{^mray/};
        }
    }
    return \%includes;
}

sub check_cycles {
    my ($includes) = @_;
    my %state; # 1: on the path, 2: done
    my $visit;
    $visit = sub {
        my ($file, @path) = @_;
        return if ($state{$file} // 0) == 2;
        if (($state{$file} // 0) == 1) {
            shift @path while $path[0] ne $file;
            complain($file, 0, 'include cycle: ' . join(' -> ', @path, $file));
            return;
        }
        $state{$file} = 1;
        $visit->($_, @path, $file) for @{$includes->{$file} // []};
        $state{$file} = 2;
    };
    $visit->($_) for sort keys %$includes;
}

sub check_externs {
    for my $file (sources(map { "src/$_/*.c" } @layers)) {
        my $text = blank_comments(read_text($file));
        my $line = 0;
        for (split /\n/, $text) {
            $line++;
            complain($file, $line, 'extern in a .c file: include the header that declares it') if /\bextern\b/ && !/extern\s+"C"/;
        }
        for my $statement (file_scope_statements($text)) {
            my ($start, $code, $kind) = @$statement;
            $code = strip_attributes($code);
            next if $kind ne ';' || $code =~ /=|\b(static|typedef|_Static_assert|extern)\b/;
            # A type and a name before the parenthesis, and something other than a macro's call.
            complain($file, $start, "prototype in a .c file: include the header that declares it: $code")
                if $code =~ /^(?:const |unsigned |struct |enum )*\w+[\s*]+\w+ ?\(.*\)\s*$/;
        }
    }
}

# A .c file has a header of its name, or what it defines beside static things is declared by another header of its layer or a public one.
sub check_headers_of_sources {
    for my $file (sources(map { "src/$_/*.c" } @layers)) {
        (my $header = $file) =~ s/\.c$/.h/;
        next if -e $header;
        (my $layer = $file) =~ s{^src/(\w+)/.*$}{$1};
        my $declared = join "\n", map { blank_comments(read_text($_)) } sources("src/$layer/*.h", 'include/mray/*.h');
        for my $statement (file_scope_statements(blank_comments(read_text($file)))) {
            my ($start, $code, $kind) = @$statement;
            $code = strip_attributes($code);
            next if $code =~ /\b(static|typedef|_Static_assert)\b/ || $code =~ /^(struct|enum|union)\b[^=(]*$/ || $code =~ /^\w+ ?\(/;
            my ($name) = $code =~ /(\w+) ?(?:\(|=|\[|$)/;
            next if defined $name && $declared =~ /\b\Q$name\E\b/;
            complain($file, $start, "defines more than static things, but neither $header nor another header declares it: " . substr($code, 0, 60));
        }
    }
}

sub check_lengths {
    for my $file (sources('src/*/*.[ch]', 'include/mray/*.h', 'tests/*/*.[ch]', 'tests/*/*.sh', 'examples/*/*.[ch]', 'bench/*.[ch]')) {
        my $n_lines = read_text($file) =~ tr/\n//;
        complain($file, 0, "$n_lines lines; split files at $max_lines") if $n_lines > $max_lines;
    }
}

sub check_words {
    # Spelt in parts, so that this file does not hold them.
    my $paths = join '|', map { "/$_/" } 'ho' . 'me', 'wo' . 'rk', 'Us' . 'ers', 'ro' . 'ot';
    my $marks = join '|', 'TO' . 'DO', 'FIX' . 'ME', 'X' x 3;
    my @files = -e '.git' ? split /\0/, `git -c safe.directory='*' ls-files -z --cached --others --exclude-standard` : ();
    if (!@files) {
        my $found = `find . -name .git -prune -o -name 'build*' -type d -prune -o -type f -print`;
        @files = map { s{^\./}{}r } split /\n/, $found;
    }
    for my $file (sort @files) {
        next unless -f $file && -T $file;
        my $line = 0;
        for (split /\n/, read_text($file)) {
            $line++;
            complain($file, $line, "a path of some machine: $1") if m{(?:^|[\s"'=(:,`])((?:$paths)[\w./-]*)};
            complain($file, $line, "a mark left behind: $1") if /\b($marks)\b/;
        }
    }
}

if ($what eq 'layers') {
    check_cycles(check_includes());
    check_externs();
} elsif ($what eq 'files') {
    check_headers_of_sources();
    check_lengths();
} elsif ($what eq 'words') {
    check_words();
} else {
    die "lint: no check is named $what\n";
}
print "lint.$what: ", $n_errors ? "$n_errors errors\n" : "clean\n";
exit($n_errors ? 1 : 0);
