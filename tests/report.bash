# How a shell test says what is wrong; source it from the repository's root (tests/lib.bash does).
problems=0

fail() { # TEXT: note a problem and continue
    echo "$*"
    problems=$((problems + 1))
}
fatal() {
    echo "$*"
    exit 1
}
skip() {
    echo "SKIP: $*"
    exit 77
}
finish() {
    [ $problems = 0 ]
    exit
}
