#!/usr/bin/env bash
# Turn an exported Paddle program into an ONNX program with paddle2onnx, and infer with ONNX Runtime.
#     bash test_tipc/test_paddle2onnx.sh CONFIG
# The program is one that test_train_inference_python.sh exported. Exit code: 0, both steps ran well; 1, not; 2, nothing
# could be run.
source "$(dirname "${BASH_SOURCE[0]}")/common_func.sh"

(($# == 1 || $# == 2)) || fail "needed is CONFIG, got $# arguments"
config=$(given_path "$1") mode=paddle2onnx
cd "$root" || exit
read_config "$config" 13
log="./log/$model_name/$mode" status_log="./log/$model_name/$mode/results_paddle2onnx.log"

find_program() { # the first of the folders of line 5 that holds a program of line 6, into `folder` and `program`
    local folders programs
    items 5 folders
    items 6 programs
    for folder in "${folders[@]}"; do
        for program in "${programs[@]}"; do
            [[ ! -f $folder/$program ]] || return 0
        done
    done
    return 1
}

words=()
add_words "${values[4]}"
[[ -n $(type -P "${words[0]}") ]] || fail "no program ${words[0]} on PATH: pip install '.[onnx]'"
find_program || fail "no exported program in ${values[5]}: run bash test_tipc/test_train_inference_python.sh first"
[[ -f ${values[13]} ]] || fail "${values[13]}: no such data; run bash test_tipc/prepare.sh first"
mkdir -p "$log" "$(dirname "${values[8]}")" || exit
note "== $(date '+%F %T') $config, $folder/$program"

add_flag "${keys[5]}" "$folder"
add_flag "${keys[6]}" "$program"
for line in {7..10}; do add_line "$line"; done
if step "$log/paddle2onnx.log"; then
    words=("$python")
    add_words "${values[11]}"
    add_flag "${keys[12]}" "${values[8]}"
    add_line 13
    add_flag --output "$log/paddle2onnx_infer_cpu.jsonl"
    step "$log/paddle2onnx_infer_cpu.log"
else
    note "Skipped: inference, for there is no ONNX program"
fi
finish
