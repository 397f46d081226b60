#!/usr/bin/env bash
# What the TIPC scripts share; to be sourced. They work in the repository, whatever folder they are called from; relative
# paths of their arguments are looked for in the caller's folder first, then in the repository.
set -uo pipefail # no -e: a step may fail, which is counted

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
modes=(lite_train_lite_infer lite_train_whole_infer whole_train_whole_infer whole_infer)
demo_mark="synthetic demo data" # in the tiny.txt of a data set that prepare.sh made up
keys=() values=()
export PYTHONUNBUFFERED=1 # what a step prints is seen, and kept, in its order

fail() {
    echo "error: $*" >&2
    exit 2
}

((BASH_VERSINFO[0] >= 4)) || fail "bash $BASH_VERSION is too old: 4 or newer is needed"

given_path() { # PATH: the same file, named so that it is found from the repository
    if [[ $1 != /* && ! $PWD -ef $root && -e $1 ]]; then echo "$PWD/$1"; else echo "$1"; fi
}

one_of() { # WORD LIST...: whether WORD is in the list
    local word=$1 other
    shift
    for other; do [[ $word == "$other" ]] && return; done
    return 1
}

# ---------------------------------------------------------------- configuration files

read_config() { # FILE COUNT: what stands before and after the first colon of its lines, into `keys` and `values`;
    # lines count from 1; blanks around a value go; of a per-mode value (MODE=...|MODE=...) this mode's is taken, or null
    [[ -f $1 ]] || fail "$1: no such configuration file"
    local lines i text entry entries
    mapfile -t -O 1 lines < <(tr -d '\r' <"$1")
    ((${#lines[@]} >= $2)) || fail "$1: has ${#lines[@]} lines, needed are $2"
    for ((i = 1; i <= $2; i++)); do
        [[ ${lines[i]} == *:* || ${lines[i]} == '##' || ${lines[i]} == ===* ]] ||
            fail "$1: line $i is not key:value (${lines[i]})"
        keys[i]=${lines[i]%%:*}
        text=${lines[i]#*:}
        IFS='|' read -r -a entries <<<"$text"
        if one_of "${text%%=*}" "${modes[@]}"; then
            text=null
            for entry in "${entries[@]}"; do
                [[ ${entry%%=*} != "$mode" ]] || text=${entry#*=}
            done
        fi
        text=${text#"${text%%[! ]*}"}
        values[i]=${text%"${text##*[! ]}"}
    done
    model_name=${values[2]} python=${values[3]}
    [[ -n $(type -P "$python") ]] || fail "$1: line 3: no program $python on PATH"
}

items() { # N NAME: the value of line N, split at |, into the array NAME
    IFS='|' read -r -a "$2" <<<"${values[$1]}"
}

# ---------------------------------------------------------------- commands, built in the array `words`

add_words() { # TEXT: its words; quotes hold words with blanks together
    local more
    mapfile -t more < <(xargs -r -n 1 printf '%s\n' <<<"$1")
    words+=("${more[@]}")
}

add_flag() { # KEY VALUE: KEY=VALUE, nothing where one of them is null or empty
    [[ -z $1 || $1 == null || -z $2 || $2 == null ]] || words+=("$1=$2")
}

add_line() { # N: line N's flag with its value
    add_flag "${keys[$1]}" "${values[$1]}"
}

# ---------------------------------------------------------------- steps, each with its line in `status_log`

ran=0 failed=0

note() { # TEXT: a line that is no step
    echo "$*" | tee -a "$status_log"
}

step() { # LOG: run `words`, show and keep what it prints, say how it went; returns its exit code
    local command code result=successfully colour=32
    command=$(printf ' %q' "${words[@]}")
    echo "\$$command"
    "${words[@]}" 2>&1 | tee "$1"
    code=${PIPESTATUS[0]}
    ((code != 130 && code != 143)) || exit "$code" # stopped by a signal: so do we
    ((ran += 1))
    if ((code != 0)); then
        ((failed += 1))
        result=failed colour=31
    fi
    printf '\033[%dm Run %s with command -%s!  \033[0m\n' $colour $result "$command" | tee -a "$status_log"
    return "$code"
}

finish() { # end with 0 where steps ran and all of them well
    echo "$ran steps, $failed failed: $status_log"
    ((ran > 0)) || fail "no step ran"
    exit $((failed > 0))
}
