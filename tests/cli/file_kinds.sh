#!/bin/bash
# Files that are not what they look like: named, with the command that makes JSONL of them, and
# never a byte of theirs on a terminal.
set -u
. tests/report.bash
cd "$TMP" || exit 1
case $BIN in /*) ;; *) BIN=$OLDPWD/$BIN ;; esac
printf 'the cat sat on the mat\n' >corpus.txt
"$BIN/import" -q --train-tokenizer corpus.txt --vocab 260 -o tok.json >/dev/null || fail 'no tokenizer'

# is FILE WORDS...: exit 3, one line with all the words, nothing but text
is() {
    local file=$1
    shift
    "$BIN/tokenize" -q --tokenizer tok.json --kind pref --input "$file" -o x.h5 >out 2>err
    [ $? = 3 ] || fail "$file: not exit 3: $(cat err)"
    [ "$(wc -l <err)" = 1 ] || fail "$file: not one line: $(cat err)"
    ! LC_ALL=C grep -q '[^ -~]' err || fail "$file: raw bytes: $(cat -v err)"
    for word; do grep -qF -- "$word" err || fail "$file: no '$word' in: $(cat err)"; done
    [ ! -e x.h5 ] || fail "$file: an output"
}
bytes() { printf "$1" >"$2"; } # FORMAT FILE

bytes 'PAR1\x15\x04\x15\x40rows\xff\x00PAR1' a.parquet
is a.parquet "'a.parquet' is Parquet" "pandas.read_parquet('a.parquet').to_json('a.parquet.jsonl', orient='records', lines=True)"
gzip -k a.parquet
is a.parquet.gz 'is Parquet'
cp a.parquet named.jsonl
is named.jsonl "'named.jsonl' is Parquet"
bytes 'ARROW1\x00\x00\xff\xff\xff\xff\x10' a.arrow
is a.arrow 'is Arrow' 'pandas.read_feather'
bytes '\xff\xff\xff\xff\x10\x01\x00\x00rows' stream.arrow
is stream.arrow 'is an Arrow stream' "datasets.Dataset.from_file('stream.arrow')"
bytes 'PK\x03\x04\x14\x00\x00\x00rows.csv' a.zip
is a.zip 'is a ZIP archive' 'unzip'
bytes 'PK\x03\x04\x14\x00\x06\x00[Content_Types].xml\x00xl/workbook.xml' a.xlsx
is a.xlsx 'is a spreadsheet' 'pandas.read_excel'
bytes '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00' a.xls
is a.xls 'Excel' 'read_excel'
bytes '\n<!DOCTYPE html>\n<html><body>log in</body></html>\n' a.csv
is a.csv "'a.csv' is HTML"
bytes '<HTML>' b.jsonl
is b.jsonl 'is HTML'
bytes 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n' lfs.jsonl
is lfs.jsonl 'is a Git LFS pointer' 'git lfs pull'
bytes '\x80\x04\x95\x10\x00' a.pkl
is a.pkl 'pickle'
bytes 'BZh91AY&SY\x00\x01' a.bz2
is a.bz2 'bunzip2'
bytes '\xfd7zXZ\x00' a.xz
is a.xz 'unxz'
tar cf a.tar corpus.txt
is a.tar 'is a tar archive' 'tar xf'
gzip -k a.tar
is a.tar.gz 'is a tar archive'
bytes 'a\tb\x1b[31m,c\n1,2\n' escapes.csv
is escapes.csv 'missing column'

mkdir saved hub rows empty
touch saved/data-00000-of-00001.arrow saved/state.json hub/train.parquet hub/README.md rows/a.jsonl
is saved "datasets.load_from_disk('saved')"
is hub "pandas.read_parquet('hub')"
is rows 'is a directory; name the files in it: rows/*.jsonl'
is empty 'is a directory without a file of rows'

# text that begins like one of them is text
bytes 'BZh is a mark\nORCA is a whale\n' plain.txt
"$BIN/tokenize" -q --tokenizer tok.json --kind text --input plain.txt -o y.h5 >out 2>err || fail "text: $(cat err)"
bytes 'GGUF models\nPAR1 of nothing\n' plain2.txt
"$BIN/tokenize" -q --tokenizer tok.json --kind text --input plain2.txt -o z.h5 >out 2>err || fail "text: $(cat err)"

# also where a model or a tokenizer is wanted
"$BIN/tokenize" -q --tokenizer lfs.jsonl --kind text --input corpus.txt -o x.h5 2>err
[ $? = 3 ] && grep -q "'lfs.jsonl' is a Git LFS pointer" err || fail "a tokenizer: $(cat err)"
"$BIN/tokenize" -q --model lfs.jsonl --kind text --input corpus.txt -o x.h5 2>err
[ $? = 3 ] && grep -q "'lfs.jsonl' is a Git LFS pointer" err || fail "a model: $(cat err)"
finish
