#!/usr/bin/env bash
# Train, evaluate, export and infer, in every combination that a configuration lists.
#     bash test_tipc/test_train_inference_python.sh CONFIG MODE [GPU]
# MODE: lite_train_lite_infer, lite_train_whole_infer, whole_train_whole_infer, or whole_infer: export and infer the
# weights that prepare.sh put in place, on the graphics card of number GPU. MAX_EPOCH=N in the environment overrides the
# epochs of training. Exit code: 0, all steps ran well; 1, some failed; 2, nothing could be run.
source "$(dirname "${BASH_SOURCE[0]}")/common_func.sh"

(($# == 2 || $# == 3)) || fail "needed are CONFIG MODE [GPU], got $# arguments"
config=$(given_path "$1") mode=$2
one_of "$mode" "${modes[@]}" || fail "mode $mode: choose from ${modes[*]}"
(($# == 2)) || [[ $mode == whole_infer ]] || fail "GPU $3: goes with whole_infer; the others take line 4 of CONFIG"
cd "$root" || exit
read_config "$config" 51
log="./log/$model_name/$mode" status_log="./log/$model_name/$mode/results_python.log"
data=${values[12]}
[[ $mode != whole_infer ]] || data=${values[48]}
[[ -f $data ]] || fail "$data: no such data; run bash test_tipc/prepare.sh $config $mode"
gpus=$("$python" -c 'import paddle
print(paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0)' 2>/dev/null | tail -n 1) ||
    fail "$(type -P "$python"): can't import paddle; put the right python on PATH"
mkdir -p "$log" || exit
note "== $(date '+%F %T') $config $mode, $(type -P "$python"), $gpus GPUs"

infer() { # MODEL_FOLDER LOG_NAME FLAG VALUE ...: one inference; other flags are those of the configuration
    local model=$1 name=$2
    shift 2
    words=("$python")
    add_words "${values[40]}"
    while (($#)); do
        add_flag "$1" "$2"
        shift 2
    done
    add_flag "${keys[47]}" "$model"
    add_flag "${keys[48]}" "$data"
    [[ ${values[49]} == null ]] || add_flag "${keys[49]}" "$name.${values[49]}"
    add_line 50
    add_line 51
    step "$name.log"
}

infer_on_cpu() { # MODEL_FOLDER LOG_FOLDER GPU_FLAG
    local onednn thread size name precision=fp32 # the only one that these engines have
    one_of "$precision" "${precisions[@]}" || return
    for onednn in "${onednns[@]}"; do
        for thread in "${threads[@]}"; do
            for size in "${sizes[@]}"; do
                name="python_infer_cpu_usemkldnn_${onednn}_threads_${thread}_precision_${precision}_batchsize_$size"
                infer "$1" "$2/$name" "${keys[41]}" "$3" "${keys[42]}" "$onednn" "${keys[43]}" "$thread" \
                    "${keys[44]}" "$size" "${keys[46]}" "$precision"
            done
        done
    done
}

infer_on_gpu() { # MODEL_FOLDER LOG_FOLDER GPU_FLAG
    local size tensorrt=False precision=fp32 # by the convention, other precisions go with TensorRT only
    ! one_of True "${tensorrts[@]}" || note "Skipped: inference with ${keys[45]}=True, for infer.py has no TensorRT"
    one_of "$tensorrt" "${tensorrts[@]}" && one_of "$precision" "${precisions[@]}" || return
    for size in "${sizes[@]}"; do
        infer "$1" "$2/python_infer_gpu_usetrt_${tensorrt}_precision_${precision}_batchsize_$size" \
            "${keys[41]}" "$3" "${keys[45]}" "$tensorrt" "${keys[46]}" "$precision" "${keys[44]}" "$size"
    done
}

infer_all() { # MODEL_FOLDER LOG_FOLDER: every combination of lines 41 to 46
    local flag on_gpu onednns threads sizes tensorrts precisions
    items 41 on_gpu
    items 42 onednns
    items 43 threads
    items 44 sizes
    items 45 tensorrts
    items 46 precisions
    for flag in "${on_gpu[@]}"; do
        if [[ $flag == False || $flag == cpu ]]; then
            infer_on_cpu "$@" "$flag"
        elif ((gpus == 0)); then
            note "Skipped: inference with ${keys[41]}=$flag, for this machine has no GPU that $python can use"
        else
            infer_on_gpu "$@" "$flag"
        fi
    done
}

export_and_infer() { # COMMAND WEIGHTS MODEL_FOLDER LOG_FOLDER
    words=("$python")
    add_words "$1"
    add_flag "${keys[29]}" "$2"
    add_flag "${keys[28]}" "$3"
    step "$4/export.log" || { note "Skipped: inference of $3, for its export failed"; return; }
    infer_all "$3" "$4"
}

choose_epochs() { # those of line 7, or an override, which is said
    local mark="${data%/*}/tiny.txt"
    epochs=${values[7]}
    if [[ -n ${MAX_EPOCH:-} ]]; then
        note "Note: ${keys[7]} $epochs -> $MAX_EPOCH, by MAX_EPOCH"
        epochs=$MAX_EPOCH
    elif [[ $mode == whole_train* ]] && grep -qs "$demo_mark" "$mark"; then
        note "Note: ${keys[7]} $epochs -> 1, for ${data%/*} holds $demo_mark; MAX_EPOCH=N chooses another"
        epochs=1
    fi
}

skip_row() { # CARDS: say why a row of line 4 is not run here, if it is not
    local highest=${1##*,}
    if [[ $1 == *';'* ]]; then
        note "Skipped: training on $1: start several machines with paddle.distributed.launch by hand"
    elif [[ $1 != -1 ]] && ((highest >= gpus)); then
        note "Skipped: training on GPU $1, for this machine has $gpus GPUs that $python can use"
    elif [[ $1 == -1 && $mode == whole_train* ]] && ((gpus > 0)); then
        note "Skipped: training of the whole on the CPU, for this machine has a GPU"
    else
        return 1
    fi
}

train_row() { # CARDS CARD_FLAG PRECISION TRAINER LINE: train with line LINE, then evaluate, export and infer
    local row="$log/$4_gpus_$1_autocast_$3" weights
    weights="$row/${values[11]}"
    mkdir -p "$row" || exit
    words=("$python")
    [[ $1 != *,* ]] || words+=(-m paddle.distributed.launch "--gpus=$1" "--log_dir=$row/launch")
    add_words "${values[$5]}"
    add_flag "${keys[5]}" "$2"
    add_flag "${keys[8]}" "$row"
    add_flag "${keys[7]}" "$epochs"
    add_line 10
    add_flag "${keys[6]}" "$3"
    add_line 9
    add_line 13
    step "$row/train.log" || { note "Skipped: what follows the training of $row, for it failed"; return; }
    [[ -f $weights ]] || fail "$weights: training did not write it, which line 11 of $config says"
    if [[ ${values[24]} != null ]]; then
        words=("$python")
        add_words "${values[24]}"
        add_flag "${keys[5]}" "${2%%,*}"
        add_flag "${keys[25]}" "$weights"
        step "$row/eval.log"
    fi
    [[ ${values[$5 + 14]} == null ]] || export_and_infer "${values[$5 + 14]}" "$weights" "$row" "$row"
}

train_all() {
    local cards flags precisions_ trainers i precision trainer line
    items 4 cards
    items 5 flags
    items 6 precisions_
    items 15 trainers
    for i in "${!cards[@]}"; do
        skip_row "${cards[i]}" && continue
        for precision in "${precisions_[@]}"; do
            for trainer in "${trainers[@]}"; do
                for line in {16..21}; do
                    [[ ${keys[line]} == "$trainer" && ${values[line]} != null ]] || continue
                    train_row "${cards[i]}" "${flags[i]:-null}" "$precision" "$trainer" "$line"
                done
            done
        done
    done
}

infer_given() { # the weights of line 37, exported by line 38; where that is null, 37 names a folder with a program
    local models exports i
    items 37 models
    items 38 exports
    for i in "${!models[@]}"; do
        if [[ ${exports[i]} == null ]]; then
            infer_all "${models[i]}" "$log"
        elif [[ -f ${models[i]} ]]; then
            export_and_infer "${exports[i]}" "${models[i]}" "$(dirname "${models[i]}")" "$log"
        else
            fail "${models[i]}: no such weights; run bash test_tipc/prepare.sh $config $mode"
        fi
    done
}

if [[ $mode == whole_infer ]]; then
    (($# == 2)) || export CUDA_VISIBLE_DEVICES=$3
    infer_given
else
    choose_epochs
    train_all
fi
finish
