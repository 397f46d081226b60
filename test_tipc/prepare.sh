#!/usr/bin/env bash
# Put data, and for whole_infer weights, where the TIPC configurations look for them.
#     bash test_tipc/prepare.sh SOURCE_PATH SAVE_DIR MODE [WEIGHTS]         for EfficientGCNB0 (x-sub)
#     bash test_tipc/prepare.sh CONFIG MODE [SOURCE_PATH [WEIGHTS]]         for the data set of CONFIG
# SOURCE_PATH: root of a generated data set, or - for synthetic demo data. CONFIG without it: ./data/npy_dataset, or
# demo data if it has none. SAVE_DIR: elsewhere than ./data/ntu/tiny_dataset, that becomes a link to it.
# MODE: one of test_train_inference_python.sh; lite means 16 samples of a split, whole means links to all of it.
# train, eval: cut 80 samples of both splits, or of eval, and nothing else.
source "$(dirname "${BASH_SOURCE[0]}")/common_func.sh"

config=test_tipc/configs/EfficientGCNB0/train_infer_python.txt save_dir=""
if [[ ${1:-} == *.txt ]]; then
    (($# >= 2 && $# <= 4)) || fail "needed are CONFIG MODE [SOURCE_PATH [WEIGHTS]], got $# arguments"
    config=$(given_path "$1") mode=$2 origin=${3:-} weights=${4:-}
else
    (($# == 3 || $# == 4)) || fail "needed are SOURCE_PATH SAVE_DIR MODE [WEIGHTS], got $# arguments"
    origin=$1 save_dir=$2 mode=$3 weights=${4:-}
fi
one_of "$mode" "${modes[@]}" train eval || fail "mode $mode: choose from ${modes[*]} train eval"
[[ -z $weights || $mode == whole_infer ]] || fail "weights $weights: only whole_infer takes some"
[[ -z $weights || -f $(given_path "$weights") ]] || fail "$weights: no such file"
[[ -z $weights ]] || weights=$(given_path "$weights")
[[ -z $origin || $origin == - ]] || origin=$(given_path "$origin")
cd "$root" || exit
read_config "$config" 51

inner=$(dirname "${values[48]}")           # ROOT/original/ntu-xsub
data_root=$(dirname "$(dirname "$inner")") # ROOT, where the configuration looks
inner=${inner#"$data_root"/}
dataset=$(basename "$inner")
transform=$([[ $inner == transformed/* ]] && echo True || echo False)
save_dir=${save_dir:-$data_root}
log="./log/$model_name/$mode" status_log="./log/$model_name/$mode/results_python.log"
mkdir -p "$log" "$save_dir" || exit

link_save_dir() { # let the configuration find SAVE_DIR where it looks
    [[ ! $save_dir -ef $data_root ]] || return
    if [[ -L $data_root ]]; then
        [[ ! -e $data_root || -f $data_root/$inner/tiny.txt ]] || fail "$data_root: a link that prepare.sh did not make"
    elif [[ -e $data_root ]]; then
        fail "$data_root: exists, so it can't become a link to $save_dir; move it away, or prepare there"
    fi
    mkdir -p "$(dirname "$data_root")" && ln -sfn "$(realpath "$save_dir")" "$data_root" || exit
    note "$data_root -> $(realpath "$save_dir")"
}

make_demo() { # a generated data set of synthetic motions, into `origin`
    local skeletons="$save_dir/demo/skeletons"
    origin="$save_dir/demo/npy_dataset"
    [[ ! -f $origin/$inner/eval_label.pkl ]] || return 0
    "$python" tools/demo_data.py --save_dir="$skeletons" --performers=4 &&
        "$python" main.py -gd -np -d "$dataset" --dataset_args.ntu.transform="$transform" \
            --dataset_args.ntu.root_folder="$origin" --dataset_args.ntu.ntu60_path="$skeletons"
}

cut_small() { # SPLITS COUNT
    "$python" dataset/tiny_data_gen.py --source_path="$origin" --save_dir="$save_dir" --mode="$1" --data_num="$2" \
        --dataset="$dataset" --transform="$transform"
}

link_whole() { # SPLIT: instead of the small one just made, without copying it
    local file
    for file in "$1_data.npy" "$1_label.pkl"; do
        ln -sfn "$(realpath "$origin")/$inner/$file" "$save_dir/$inner/$file" || return
    done
    echo "$1: all samples, by links to $origin"
}

find_weights() { # what an earlier mode left in ./log, the whole ones first, the newest of each, into `weights`
    local earlier found
    for earlier in whole_train_whole_infer lite_train_whole_infer lite_train_lite_infer; do
        for found in "./log/$model_name/$earlier"/*/"${values[11]}"; do
            [[ ! -f $found ]] || [[ -n $weights && $weights -nt $found ]] || weights=$found
        done
        [[ -z $weights ]] || return 0
    done
    return 1
}

train_one_epoch() { # into `weights`
    words=("$python")
    add_words "${values[16]}"
    add_flag "${keys[8]}" "$log/one_epoch"
    add_flag "${keys[7]}" 1
    mkdir -p "$log/one_epoch" || exit
    step "$log/one_epoch/train.log" && weights="$log/one_epoch/${values[11]}"
}

put_weights() { # where the first item of line 37 is
    local models
    items 37 models
    if [[ -n $weights ]]; then
        note "Weights: $weights, as given"
    elif find_weights; then
        note "Weights: $weights, of an earlier mode"
    else
        note "Weights: none given, none in ./log/$model_name: training one epoch on a few samples"
        train_one_epoch || exit 1
    fi
    mkdir -p "$(dirname "${models[0]}")" || exit
    [[ ! $weights -ef ${models[0]} ]] || return 0
    cp "$weights" "${models[0]}.part" && mv "${models[0]}.part" "${models[0]}" || exit
}

link_save_dir
[[ -n $origin ]] || { [[ -d ./data/npy_dataset/$inner ]] && origin=./data/npy_dataset || origin=-; }
demo=$origin
[[ $origin != - ]] || make_demo || fail "no demo data"
case $mode in
    train | eval) cut_small "$mode" 80 || exit ;;
    *) cut_small train 16 || exit ;;
esac
[[ $demo != - ]] || echo "It is $demo_mark." >>"$save_dir/$inner/tiny.txt"
[[ $mode != whole_train* ]] || link_whole train || exit
[[ $mode != *whole_infer ]] || link_whole eval || exit
[[ $mode != whole_infer ]] || put_weights
note "Prepared: $save_dir/$inner for $mode, from $([[ $demo == - ]] && echo "$demo_mark" || echo "$origin")"
