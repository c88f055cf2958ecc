#!/bin/bash
# A tokenizer's pattern on very long runs: the pattern of o200k takes a million letters as it takes a
# thousand; where a pattern does go on for ever, the row is refused by name, not cut elsewhere.
. tests/lib.bash
data 4
quiet "$bin/import" -q --train-tokenizer corpus.txt --vocab 300 -o tok.json
with() { # REGEX: tok.json with another cut
    local regex=${1//\\/\\\\}
    regex=${regex//\"/\\\"}
    awk -v r="${regex//\\/\\\\}" '{
        at = index($0, "\"pre_tokenizer\":")
        if (at) {
            head = substr($0, 1, at - 1); rest = substr($0, at); end = index(rest, "}")
            $0 = head "\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", " \
                "\"pattern\": {\"Regex\": \"" r "\"}, \"behavior\": \"Isolated\", \"invert\": false}, " \
                "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}" substr(rest, end + 1)
        }
        print }' tok.json >cut.json
}
letters() { head -c "$1" /dev/zero | tr '\0' "$2"; }
o200k="[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
with "$o200k"
eos=$(grep -o '"content": "[^"]*"' tok.json | head -n 1 | cut -d '"' -f 4)
tokenize() {
    "$bin/tokenize" -q --tokenizer cut.json --eos "$eos" --kind text --input "$1" -o "$2"
}
for letter in a A; do
    for n in 1000400 2000800; do
        { letters $n $letter; echo " b"; } >long.txt
        tokenize long.txt long-$n.h5 >out 2>err || fail "$n letters '$letter': exit $?: $(head -c 300 err)"
    done
done
# Each of these lets the search try every way to cut the run before it gives up
with '(a|aa|a{3})+c|b'
{ letters 3000 a; echo ' b'; } >hard.txt
tokenize hard.txt hard.h5 >out 2>err
[ $? = 3 ] || fail "a pattern without end: exit $?: $(head -c 300 err)"
grep -q "hard.txt.*line 1.*pattern takes too long" err || fail "not named: $(head -c 300 err)"
[ ! -e hard.h5 ] || fail "an output of what was not cut"
finish
