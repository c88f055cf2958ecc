#!/bin/bash
# The order of the code, checked: what each layer may include, one .c file for each third-party
# header, headers that compile alone, no file over 500 lines.
cd "$(dirname "$0")/.." || exit 1
cc=${CC:-cc}
flags=${CFLAGS_ALL:--std=c11 -D_GNU_SOURCE -fopenmp -I.}
problems=0
problem() {
    echo "$*"
    problems=$((problems + 1))
}
files() { # ENDING FOLDER...
    local ending=$1
    shift
    for folder in "$@"; do [ ! -d "$folder" ] || find "$folder" -name "*.$ending" -type f; done | sort
}
includes() { # FILE: the names in #include "..."
    sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$1"
}

# The rooms in their order, lowest first: a file includes headers of its own room and of those on
# lines above it; rooms on one line do not know each other.
rooms='
common/base
common/jinja
common/text
common/engine
common/method
common/training
formats/bytes
formats/store
formats/models formats/tokens
formats/records formats/teachers
stages/shared
stages'
declare -A floor
height=0
while read -r line; do
    height=$((height + 1))
    for room in $line; do floor[$room]=$height; done
done <<<"$rooms"

room_of() { # FILE: into $room; a stage that is a folder belongs to stages
    room=$(dirname "$1")
    case $room in stages/shared) ;; stages/*) room=stages ;; esac
}

for file in $(files '[ch]' common formats stages); do
    room_of "$file"
    home=$room
    [ -n "${floor[$home]}" ] || { problem "'$file' lies in no room (see common/README.md)" && continue; }
    for name in $(includes "$file"); do
        room_of "$name"
        if [ "$home" = stages ] && [ "$room" = stages ]; then
            # only a stage that is a folder has headers, and only for itself
            [[ $name == stages/*/* && $(dirname "$file") = $(dirname "$name") ]] ||
                problem "'$file' includes '$name' of another stage"
        elif [ -z "${floor[$room]}" ]; then
            problem "'$file' includes '$name', which lies in no room"
        elif [ "$home" != "$room" ] && [ "${floor[$room]}" -ge "${floor[$home]}" ]; then
            problem "'$file' includes '$name'; $home may not know $room"
        fi
    done
done

# Headers of C, POSIX and the compiler; every other <header> is somebody's library.
own='^(assert|cpuid|ctype|dirent|dlfcn|errno|fcntl|fenv|float|getopt|glob|immintrin|inttypes|libgen|'
own+='limits|locale|malloc|math|omp|poll|pthread|sched|setjmp|signal|spawn|stdalign|stdarg|stdatomic|'
own+='stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|termios|time|unistd|wchar|wctype|'
own+='x86intrin|sys/[a-z]+|linux/[a-z]+)\.h$'
declare -A user
for file in $(files '[ch]' common formats stages); do
    for name in $(sed -n 's/^[ \t]*#[ \t]*include[ \t]*<\([^>]*\)>.*/\1/p' "$file"); do
        [[ $name =~ $own ]] && continue
        [[ $file == *.c ]] || problem "header '$file' includes <$name>; only one .c file may"
        # The HDF5 filter's plugin is built on its own, beside the library.
        [[ $file != formats/store/zplugin.c && $file != formats/store/zfilter.c ]] || continue
        [ -z "${user[$name]}" ] || [ "${user[$name]}" = "$file" ] ||
            problem "'$file' and '${user[$name]}' both include <$name>; one .c file only may"
        user[$name]=$file
    done
done

for file in $(files h common formats stages); do
    # shellcheck disable=SC2086
    echo "#include \"$file\"" | $cc $flags -fsyntax-only -x c - || problem "'$file' does not compile alone"
done

for file in $(files '[ch]' common formats stages tests pipelines) \
    $(files sh tests pipelines) $(files mk pipelines); do
    lines=$(wc -l <"$file")
    [ "$lines" -le 500 ] || problem "'$file' has $lines lines; split it (500 at most)"
done
[ $problems = 0 ]
