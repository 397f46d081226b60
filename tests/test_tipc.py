"""The TIPC scripts: what they run, what they say, what they leave alone.

Most tests run them in a copy of the repository whose path has blanks, with a stand-in for python that notes its arguments.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, write_split

import infer
import main
from configs.schema import load_config
from dataset.ntu_feeder import load_data

NAMES = ("EfficientGCNB0", "EfficientGCNB0_xview")
X_SUB = "test_tipc/configs/EfficientGCNB0/train_infer_python.txt"
X_VIEW = "test_tipc/configs/EfficientGCNB0_xview/train_infer_python.txt"
ONNX = "test_tipc/configs/EfficientGCNB0/paddle2onnx_infer_python.txt"
INNER = Path("original", "ntu-xsub")
LITE = "lite_train_lite_infer"
WHOLE = "whole_train_whole_infer"
STATUS = re.compile(r"\033\[\d+m Run (successfully|failed) with command - (.*)!  \033\[0m")

# Notes its arguments; fails where they contain $FAIL; leaves the files that the real commands would leave.
STAND_IN = """#!/usr/bin/env bash
[[ $1 != -c ]] || { echo "a warning"; echo "${GPUS:-0}"; exit "${NO_PADDLE:-0}"; }
printf '%s\\n' "${0##*/}" "$@" . >>"$RECORD"
[[ -z ${FAIL:-} || " $* " != *"$FAIL"* ]] || { echo "broken" >&2; exit "${FAIL_WITH:-1}"; }
[[ $1 != dataset/tiny_data_gen.py ]] || exec "$REAL_PYTHON" "$@"
copy_demo() { mkdir -p "$1" && cp -r "$DEMO"/. "$1"; }
for word; do
    case $word in
        --work_dir=*) [[ -n ${NO_WEIGHTS:-} ]] || echo "weights of $word" >"${word#*=}/model.pdparams" ;;
        --save-inference-dir=*) touch "${word#*=}/model.json" ;;
        --output=* | --save_file=*) touch "${word#*=}" ;;
        --dataset_args.ntu.root_folder=*) [[ " $* " != *" -gd "* ]] || copy_demo "${word#*=}" ;;
    esac
done
echo "avg_ips of $1"
"""


class Repository:
    """A copy of what the scripts need; `run` calls one of them from another folder, `commands` are those it ran."""

    def __init__(self, folder):
        self.root, self.elsewhere, self.bin = folder / "a repo", folder / "else where", folder / "stand ins"
        self.source, self.record = folder / "a source", folder / "record"

    def fill(self):
        for name in ("test_tipc", "dataset", "utils"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for split, count in (("train", 20), ("eval", 18)):
            write_split(self.source / INNER, split, count, frames=4)
        self.elsewhere.mkdir()
        self.bin.mkdir()
        for name in ("python", "paddle2onnx"):
            (self.bin / name).write_text(STAND_IN)
            (self.bin / name).chmod(0o755)
        return self

    def run(self, script, *arguments, cwd=None, **variables):
        self.record.write_text("")
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "RECORD": str(self.record)}
        environment |= {"REAL_PYTHON": sys.executable, "DEMO": str(self.source), **variables}
        command = ["bash", self.root / "test_tipc" / script, *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd or self.elsewhere, env=environment)

    @property
    def commands(self):
        return [call.split("\n") for call in self.record.read_text().split("\n.\n")[:-1]]

    def prepare(self, mode=LITE, *more, config=X_SUB, **options):
        done = self.run("prepare.sh", config, mode, self.source, *more, **options)
        assert done.returncode == 0, done.stderr
        return done

    def train(self, mode=LITE, *more, config=X_SUB, **options):
        return self.run("test_train_inference_python.sh", config, mode, *more, **options)

    def status(self, mode=LITE, file="results_python.log"):
        return (self.root / "log" / "EfficientGCNB0" / mode / file).read_text()


@pytest.fixture
def repo(tmp_path):
    return Repository(tmp_path).fill()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    Repository(folder).fill().prepare()
    return folder


@pytest.fixture
def ready(prepared, tmp_path):
    """A copy of one in which lite data is prepared."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return Repository(tmp_path)


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def is_one_error_line(done):
    return done.returncode == 2 and len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: ")


# ---------------------------------------------------------------- the configuration files


@pytest.mark.parametrize("config", [X_SUB, X_VIEW])
def test_configuration_has_what_the_convention_reads_by_line_number(config):
    lines = ["", *(ROOT / config).read_text().splitlines()]
    heads = {number: line.strip("=") for number, line in enumerate(lines) if line.startswith("=")}
    assert heads == {
        1: "train_params", 23: "eval_params", 27: "infer_params", 52: "train_benchmark_params", 58: "infer_benchmark_params"
    }  # fmt: skip
    assert [number for number, line in enumerate(lines) if line == "##"] == [14, 22, 26]
    keys = {number: lines[number].split(":")[0] for number in (2, 3, 4, 15, 16, 24, 30, 37, 38, 39, 40)}
    assert list(keys.values()) == [
        "model_name", "python", "gpu_list", "trainer", "norm_train", "eval", "norm_export", "infer_model", "infer_export",
        "infer_quant", "inference",
    ]  # fmt: skip
    tail = [line.split(":")[0] for line in lines[53:58] + lines[59:]]  # read in this order below their headings
    assert tail == ["batch_size", "fp_items", "epoch", "--profiler_options", "flags", "random_infer_input"]


def read_values(tmp_path, text, expression, mode=LITE):
    config = tmp_path / "a config.txt"
    config.write_text(text)
    count = len(text.splitlines())
    script = f'source "{ROOT}/test_tipc/common_func.sh"; mode={mode}; read_config "{config}" {count}; {expression}'
    done = subprocess.run(["bash", "-c", script], check=False, capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else done.stderr.splitlines()


@pytest.mark.parametrize(
    "line, key, value",
    [
        ("-o a.b:c:d", "-o a.b", "c:d"),
        ("norm_train:  main.py -c 1  ", "norm_train", "main.py -c 1"),
        ("--e:lite_train_lite_infer=1|whole_train_whole_infer=70", "--e", "1"),
        ("--e:lite_train_whole_infer=1", "--e", "null"),
        ("--e:1|6", "--e", "1|6"),
        ("null:null", "null", "null"),
        ("--e:", "--e", ""),
    ],
)
def test_a_line_is_split_at_the_first_colon_and_by_mode(tmp_path, line, key, value):
    text = f"===head===\nmodel_name:x\npython:bash\n{line}\r\n"
    assert read_values(tmp_path, text, 'echo "<${keys[4]}>"; echo "<${values[4]}>"') == [f"<{key}>", f"<{value}>"]


def test_flags_are_joined_and_null_drops_them_and_quotes_keep_blanks(tmp_path):
    flags = "add_flag --a 1; add_flag --b null; add_flag null 1; add_flag --c ''; add_flag --d 'x y'"
    words = """words=(); add_words "main.py --e='p q' -np"; """ + flags + """; printf '<%s>\\n' "${words[@]}\""""
    got = read_values(tmp_path, "===head===\nmodel_name:x\npython:bash\n", words)
    assert got == ["<main.py>", "<--e=p q>", "<-np>", "<--a=1>", "<--d=x y>"]


def test_a_line_without_colon_is_refused_with_its_number(tmp_path):
    assert "line 4" in read_values(tmp_path, "===head===\nmodel_name:x\npython:bash\nnothing\n", "echo no")[0]


# ---------------------------------------------------------------- training, evaluation, export, inference


def test_lite_mode_trains_evaluates_exports_and_infers_every_combination(ready):
    done = ready.train()
    assert done.returncode == 0, done.stderr
    train, evaluate, export, *inferences = ready.commands
    row = f"./log/EfficientGCNB0/{LITE}/norm_train_gpus_-1_autocast_null"
    weights = f"--pretrained={row}/model.pdparams"
    epochs, batch = "--scheduler_args.cosine.max_epoch=1", "--dataset_args.ntu.train_batch_size=8"
    assert train == ["python", "main.py", "-c", "2001_infer", "-np", "--gpus=[]", f"--work_dir={row}", epochs, batch]
    assert evaluate == ["python", "main.py", "-e", "-c", "2001_infer", "-np", "--gpus=[]", weights]
    assert export == ["python", "main.py", "-ex", "-c", "2001_infer", weights, f"--save-inference-dir={row}"]
    data = "./data/ntu/tiny_dataset/original/ntu-xsub/eval_"
    expected = []
    for onednn in ("True", "False"):
        for threads in ("1", "6"):
            for size in ("1", "4"):
                log = f"{row}/python_infer_cpu_usemkldnn_{onednn}_threads_{threads}_precision_fp32_batchsize_{size}"
                assert (ready.root / f"{log}.log").read_text() == "avg_ips of infer.py\n"
                expected.append(
                    ["python", "infer.py", "--use-gpu=False", f"--enable_mkldnn={onednn}", f"--cpu_threads={threads}",
                     f"--batch-size={size}", "--precision=fp32", f"--model_file={row}", f"--data_file={data}data.npy",
                     f"--output={log}.jsonl", "--benchmark=True", f"--label_file={data}label.pkl"]
                )  # fmt: skip
    assert inferences == expected


@pytest.mark.parametrize("config", [X_SUB, X_VIEW])
def test_every_command_is_one_that_the_programs_take(ready, config):
    if config == X_VIEW:
        shutil.move(ready.source / INNER, ready.source / "transformed" / "ntu-xview")
        ready.prepare(config=config)
    assert ready.train(config=config, GPUS="2").returncode == 0
    seen = set()
    for _, *command in ready.commands:
        script = next(word for word in command if word.endswith(".py"))
        arguments = command[command.index(script) + 1 :]
        seen.add(script)
        if script == "infer.py":
            infer.parse(arguments)
        else:
            run = load_config(*main.parse_command_line(arguments))
            assert (run.dataset, run.data.transform) == ("ntu-xview" if config == X_VIEW else "ntu-xsub", config == X_VIEW)
            if not run.extract:
                assert run.data.root_folder == "./data/ntu/tiny_dataset"
    assert seen == {"main.py", "infer.py"}


def test_every_step_has_one_coloured_line_with_its_command(ready):
    assert ready.train(FAIL="--cpu_threads=6 --batch-size=4").returncode == 1
    lines = [STATUS.fullmatch(line) for line in ready.status().splitlines()]
    steps = [match.groups() for match in lines if match]
    assert len(steps) == len(ready.commands) == 11
    assert [" ".join(command) for command in ready.commands] == [text.replace("\\", "") for _, text in steps]
    failed = [text for result, text in steps if result == "failed"]
    assert len(failed) == 2
    assert all("--cpu_threads=6 --batch-size=4" in text for text in failed)


def test_a_second_run_appends_to_the_log(ready):
    ready.train()
    first = ready.status()
    ready.train()
    assert ready.status().startswith(first)
    assert ready.status().count("Run successfully") == 22


@pytest.mark.parametrize(
    "fault, count, skipped", [("-c 2001_infer -np", 1, "what follows the training"), ("-e", 11, None), ("-ex", 3, "inference of")]
)
def test_what_needs_a_failed_step_is_not_run_and_the_exit_code_says_so(ready, fault, count, skipped):
    done = ready.train(FAIL=f"main.py {fault} ")
    assert done.returncode == 1
    assert len(ready.commands) == count
    assert "broken" in done.stdout
    assert ready.status().count("Run failed") == 1
    left_out = re.findall("Skipped: (what follows the training|inference of)", ready.status())
    assert left_out == ([skipped] if skipped else [])


def test_training_that_leaves_no_weights_stops_the_run(ready):
    done = ready.train(NO_WEIGHTS="1")
    assert is_one_error_line(done)
    assert "model.pdparams" in done.stderr


@pytest.mark.parametrize("code", ["130", "143"])
def test_a_step_stopped_by_a_signal_stops_the_run(ready, code):
    assert ready.train(FAIL="main.py -e", FAIL_WITH=code).returncode == int(code)
    assert len(ready.commands) == 2


def test_gpu_rows_are_skipped_with_a_word_where_there_is_no_gpu(ready):
    done = ready.train()
    skipped = [line for line in ready.status().splitlines() if line.startswith("Skipped:")]
    assert [re.search(r"GPU \S+|use-gpu=True", line)[0].rstrip(",") for line in skipped] == ["use-gpu=True", "GPU 0", "GPU 0,1"]
    assert all(line in done.stdout for line in skipped)


def test_gpu_rows_run_where_there_are_gpus(ready):
    assert ready.train(GPUS="1").returncode == 0
    trained = [command for command in ready.commands if "-np" in command and "-e" not in command]
    assert [next(word for word in command if word.startswith("--gpus=")) for command in trained] == ["--gpus=[]", "--gpus=0"]
    on_gpu = [command for command in ready.commands if "--use-gpu=True" in command]
    assert len(on_gpu) == 2 * 2  # of two rows, each with two batch sizes; half precision needs TensorRT
    assert all("--precision=fp32" in command and "--use_tensorrt=False" in command for command in on_gpu)


def test_two_gpus_train_together(ready):
    assert ready.train(GPUS="2").returncode == 0
    launched = [command for command in ready.commands if "paddle.distributed.launch" in command]
    assert len(launched) == 1
    assert launched[0][1:4] == ["-m", "paddle.distributed.launch", "--gpus=0,1"]
    assert "--gpus=0,1" in launched[0][5:]


def test_half_precision_runs_with_tensorrt(ready):
    config = ready.root / X_SUB
    config.write_text(config.read_text().replace("--use_tensorrt:False", "--use_tensorrt:False|True"))
    assert ready.train(GPUS="1").returncode == 0
    pairs = {tuple(command[3:5]) for command in ready.commands if "--use-gpu=True" in command}
    assert pairs == {
        ("--use_tensorrt=False", "--precision=fp32"),
        ("--use_tensorrt=True", "--precision=fp32"),
        ("--use_tensorrt=True", "--precision=fp16"),
    }


def epochs_of(repo):
    words = [word for command in repo.commands for word in command]
    return [word.split("=")[1] for word in words if word.startswith("--scheduler_args.cosine.max_epoch=")]


def test_whole_training_has_all_epochs_but_for_an_override_that_is_said(repo):
    repo.prepare(WHOLE)
    repo.train(WHOLE)
    assert epochs_of(repo) == ["70"]
    assert "->" not in repo.status(WHOLE)
    repo.train(WHOLE, MAX_EPOCH="3")
    assert epochs_of(repo) == ["3"]
    assert "max_epoch 70 -> 3" in repo.status(WHOLE)


def test_whole_training_on_demo_data_is_one_epoch_which_is_said(repo):
    assert repo.run("prepare.sh", X_SUB, WHOLE, "-").returncode == 0
    repo.train(WHOLE)
    assert epochs_of(repo) == ["1"]
    assert re.search("max_epoch 70 -> 1, .*synthetic demo data", repo.status(WHOLE))


def test_whole_training_leaves_the_cpu_out_where_there_is_a_gpu(repo):
    repo.prepare(WHOLE)
    assert repo.train(WHOLE, GPUS="1").returncode == 0
    assert "Skipped: training of the whole on the CPU" in repo.status(WHOLE)
    assert not any("--gpus=[]" in command for command in repo.commands)


@pytest.mark.parametrize(
    "arguments, variables, named",
    [
        ([X_SUB], {}, "CONFIG MODE"),
        ([X_SUB, "lite"], {}, "lite"),
        (["none.txt", LITE], {}, "none.txt"),
        ([ONNX, LITE], {}, "13 lines"),
        ([X_SUB, LITE, "0"], {}, "GPU 0"),
        ([X_SUB, LITE], {"NO_PADDLE": "1"}, "can't import paddle"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_code_2(ready, arguments, variables, named):
    done = ready.run("test_train_inference_python.sh", *arguments, **variables)
    assert is_one_error_line(done)
    assert named in done.stderr
    assert ready.commands == []


def test_without_data_the_command_that_makes_it_is_named(repo):
    done = repo.train()
    assert is_one_error_line(done)
    assert f"prepare.sh {X_SUB} {LITE}" in done.stderr


def test_a_run_in_which_nothing_could_run_is_no_success(ready):
    config = ready.root / X_SUB
    config.write_text(config.read_text().replace("gpu_list:-1|0|0,1", "gpu_list:0"))
    assert ready.train().returncode == 2


# ---------------------------------------------------------------- whole_infer and its weights


def test_whole_infer_exports_and_infers_given_weights(repo, tmp_path):
    weights = tmp_path / "my weights.pdparams"
    weights.write_text("mine")
    repo.prepare("whole_infer", weights)
    place = "./log/EfficientGCNB0/whole_infer"
    assert (repo.root / place / "model.pdparams").read_text() == "mine"
    assert f"Weights: {weights}, as given" in repo.status("whole_infer")
    assert repo.train("whole_infer", "1", GPUS="1").returncode == 0
    export, *inferences = repo.commands
    weights = f"--pretrained={place}/model.pdparams"
    assert export[1:] == [
        "main.py",
        "-ex",
        "-c",
        "2001_infer",
        f"--pretrained={place}/model.pdparams",
        f"--save-inference-dir={place}",
    ]
    assert len(inferences) == 2 + 8
    assert {word for command in inferences for word in command if word.startswith("--model")} == {f"--model_file={place}"}


def test_whole_infer_takes_what_an_earlier_mode_left(ready):
    ready.train()
    ready.prepare("whole_infer")
    weights = f"./log/EfficientGCNB0/{LITE}/norm_train_gpus_-1_autocast_null/model.pdparams"
    assert f"Weights: {weights}, of an earlier mode" in ready.status("whole_infer")
    assert LITE in (ready.root / "log/EfficientGCNB0/whole_infer/model.pdparams").read_text()


def test_whole_infer_without_any_weights_trains_one_epoch(repo):
    repo.prepare("whole_infer")
    assert epochs_of(repo) == ["1"]
    assert "training one epoch" in repo.status("whole_infer")
    assert (repo.root / "log/EfficientGCNB0/whole_infer/model.pdparams").is_file()


def test_whole_infer_without_prepared_weights_names_the_command(ready):
    done = ready.train("whole_infer")
    assert is_one_error_line(done)
    assert "prepare.sh" in done.stderr


# ---------------------------------------------------------------- prepare.sh


@pytest.mark.parametrize(
    "mode, train, evaluate",
    [(LITE, 16, 16), ("lite_train_whole_infer", 16, "link"), (WHOLE, "link", "link"), ("whole_infer", 16, "link")],
)
def test_lite_cuts_a_few_samples_and_whole_links_to_all(repo, mode, train, evaluate):
    before = contents(repo.source)
    repo.prepare(mode)
    for split, wanted in (("train", train), ("eval", evaluate)):
        for name in (f"{split}_data.npy", f"{split}_label.pkl"):
            path = repo.root / "data/ntu/tiny_dataset" / INNER / name
            assert path.is_symlink() == (wanted == "link")
            if wanted == "link":
                assert path.resolve() == (repo.source / INNER / name).resolve()
            elif name.endswith(".npy"):
                assert len(load_data(path)) == wanted
    repo.prepare(LITE)
    assert not any(path.is_symlink() for path in (repo.root / "data/ntu/tiny_dataset" / INNER).iterdir())
    assert contents(repo.source) == before


def test_the_published_form_takes_source_folder_and_mode(repo):
    done = repo.run("prepare.sh", repo.source, "./data/ntu/tiny_dataset", "eval")
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in (repo.root / "data/ntu/tiny_dataset" / INNER).iterdir())
    assert made == ["eval_data.npy", "eval_label.pkl", "tiny.txt"]


def test_data_made_in_another_folder_is_found_by_a_link(repo, tmp_path):
    done = repo.run("prepare.sh", repo.source, tmp_path / "an other", LITE)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "an other" / INNER / "eval_data.npy").is_file()
    assert repo.train().returncode == 0
    again = repo.run("prepare.sh", repo.source, tmp_path / "a third", LITE)
    assert again.returncode == 0, again.stderr
    assert (repo.root / "data/ntu/tiny_dataset").resolve() == (tmp_path / "a third").resolve()


def test_nothing_is_deleted_that_the_scripts_did_not_make(repo, tmp_path):
    mine = repo.root / "data/ntu/tiny_dataset"
    write_split(mine / INNER, "eval", 2, frames=4)
    (mine / "notes.txt").write_text("mine")
    before = contents(mine)
    for arguments in ([repo.source, mine, LITE], [repo.source, tmp_path / "other", LITE], [X_SUB, WHOLE, repo.source]):
        assert repo.run("prepare.sh", *arguments).returncode != 0
    assert contents(mine) == before


def test_a_link_that_prepare_did_not_make_stays(repo, tmp_path):
    (tmp_path / "disk").mkdir()
    (repo.root / "data/ntu").mkdir(parents=True)
    (repo.root / "data/ntu/tiny_dataset").symlink_to(tmp_path / "disk")
    assert is_one_error_line(repo.run("prepare.sh", repo.source, tmp_path / "other", LITE))
    assert (repo.root / "data/ntu/tiny_dataset").resolve() == (tmp_path / "disk").resolve()


def test_without_a_source_the_generated_data_set_is_taken_or_else_demo_data(repo):
    assert repo.run("prepare.sh", X_SUB, LITE).returncode == 0
    assert any("tools/demo_data.py" in command for command in repo.commands)
    shutil.copytree(repo.source, repo.root / "data/npy_dataset")
    assert repo.run("prepare.sh", X_SUB, LITE).returncode == 0
    assert [command[1] for command in repo.commands] == ["dataset/tiny_data_gen.py"]
    assert "--source_path=./data/npy_dataset" in repo.commands[0]


def test_demo_data_is_made_once(repo):
    for count in (3, 1):
        assert repo.run("prepare.sh", "-", "./data/ntu/tiny_dataset", LITE).returncode == 0
        assert len(repo.commands) == count


@pytest.mark.parametrize(
    "arguments, named",
    [
        ([], "SOURCE_PATH SAVE_DIR MODE"),
        (["-", "x"], "SOURCE_PATH SAVE_DIR MODE"),
        (["-", "x", "all"], "all"),
        (["-", "x", LITE, "weights"], "whole_infer"),
        (["-", "x", "whole_infer", "no weights"], "no weights"),
        (["none.txt", LITE], "none.txt"),
        (["no source", "./data/ntu/tiny_dataset", LITE], "no source"),
    ],
)
def test_prepare_names_what_is_wrong_in_one_line(repo, arguments, named):
    done = repo.run("prepare.sh", *arguments)
    assert is_one_error_line(done)
    assert named in done.stderr


def test_relative_paths_are_looked_for_in_the_callers_folder_first(repo):
    shutil.copytree(repo.source, repo.elsewhere / "here")
    done = repo.run("prepare.sh", "here", "./data/ntu/tiny_dataset", LITE)
    assert done.returncode == 0, done.stderr
    assert (repo.root / "data/ntu/tiny_dataset" / INNER / "eval_data.npy").is_file()
    assert not (repo.elsewhere / "data").exists()


# ---------------------------------------------------------------- ONNX


def test_onnx_chain_converts_the_exported_program_and_infers(ready):
    ready.train()
    done = ready.run("test_paddle2onnx.sh", ONNX)
    assert done.returncode == 0, done.stderr
    convert, inference = ready.commands
    row = f"./log/EfficientGCNB0/{LITE}/norm_train_gpus_-1_autocast_null"
    made = "./log/EfficientGCNB0/paddle2onnx"
    assert convert == [
        "paddle2onnx", "--optimize_tool=None", f"--model_dir={row}", "--model_filename=model.json",
        "--params_filename=model.pdiparams", f"--save_file={made}/model.onnx", "--opset_version=17",
        "--enable_onnx_checker=True",
    ]  # fmt: skip
    options = infer.parse(inference[2:])
    assert (options.backend, options.model_file) == ("onnxruntime", f"{made}/model.onnx")
    assert options.output == f"{made}/paddle2onnx_infer_cpu.jsonl"
    assert ready.status("paddle2onnx", "results_paddle2onnx.log").count("Run successfully") == 2


def test_onnx_chain_fails_where_the_conversion_does(ready):
    ready.train()
    assert ready.run("test_paddle2onnx.sh", ONNX, FAIL="--opset").returncode == 1
    assert len(ready.commands) == 1


def test_onnx_chain_without_an_exported_program_says_what_to_run(ready):
    done = ready.run("test_paddle2onnx.sh", ONNX)
    assert is_one_error_line(done)
    assert "test_train_inference_python.sh" in done.stderr


# ---------------------------------------------------------------- comparison of results


STORED = {"a": {3: 0.9, 1: 0.06, 2: 0.0204}, "b": {5: 0.5, 6: 0.4995, 7: 0.0001}}


def write_predictions(path, predictions):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"name": n, "labels": list(p), "probabilities": list(p.values())} for n, p in predictions.items()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    path.with_suffix(".log").write_text("what infer.py printed")


def compare(folder, *more, pattern="logs/python_infer_*.log"):
    command = [sys.executable, ROOT / "test_tipc" / "compare_results.py", "--gt_file=stored/*.jsonl", f"--log_file={pattern}"]
    return subprocess.run([*command, *more], check=False, capture_output=True, text=True, cwd=folder)


@pytest.mark.parametrize(
    "changed, agrees",
    [
        ({}, True),
        ({"a": {3: 0.9015, 1: 0.0605, 2: 0.0204}}, True),
        ({"a": {3: 0.9025, 1: 0.06, 2: 0.0204}}, False),
        ({"b": {6: 0.5, 5: 0.4995, 7: 0.0001}}, True),  # equals within the tolerance may change places
        ({"a": {3: 0.9, 1: 0.06, 9: 0.0205}}, True),  # so may the last of the best
        ({"a": {3: 0.9, 1: 0.06, 9: 0.04}}, False),
        ({"a": {4: 0.9, 1: 0.06, 2: 0.0204}}, False),
        ({"a": {3: float("nan"), 1: 0.06, 2: 0.0204}}, False),
        ({"c": {1: 1.0}}, False),
    ],
)
def test_predictions_agree_within_the_tolerance(tmp_path, changed, agrees):
    write_predictions(tmp_path / "stored/results_fp32.jsonl", STORED)
    write_predictions(tmp_path / "logs/python_infer_cpu_precision_fp32.jsonl", {**STORED, **changed})
    done = compare(tmp_path)
    assert done.returncode == (0 if agrees else 1), done.stdout
    assert ("Assert allclose passed!" if agrees else "are inconsistent!") in done.stdout


def test_a_result_is_compared_with_the_stored_one_of_its_precision(tmp_path):
    write_predictions(tmp_path / "stored/results_fp32.jsonl", STORED)
    write_predictions(tmp_path / "stored/results_fp16.jsonl", {"a": {3: 0.8, 1: 0.1}})
    write_predictions(tmp_path / "logs/python_infer_precision_fp16.jsonl", {"a": {3: 0.8, 1: 0.1}})
    write_predictions(tmp_path / "logs/python_infer_precision_int8.jsonl", {})
    done = compare(tmp_path)
    assert done.returncode == 0
    assert "skipped" in done.stdout


def test_results_that_are_not_there_are_one_line_and_exit_code_2(tmp_path):
    write_predictions(tmp_path / "stored/results_fp32.jsonl", STORED)
    assert is_one_error_line(compare(tmp_path))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/python_infer_x.log").write_text("")
    assert is_one_error_line(compare(tmp_path))
    (tmp_path / "logs/python_infer_x.jsonl").write_text('{"name": 3')
    assert is_one_error_line(compare(tmp_path))
    assert is_one_error_line(compare(tmp_path, "--atol=much"))


# ---------------------------------------------------------------- the real thing


@pytest.fixture
def real(tmp_path):
    """run(script, *arguments) in a copy of the repository, with this Python."""
    kept = shutil.ignore_patterns(".*", "log", "data", "workdir", "demo", "__pycache__")
    shutil.copytree(ROOT, tmp_path / "a repo", ignore=kept)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def run(*command):
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=tmp_path / "a repo", env={**os.environ, "PATH": path}
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        return done.stdout

    return run


@pytest.mark.full
def test_lite_chain_and_onnx_run_and_all_engines_agree(real):
    real("bash", "test_tipc/prepare.sh", "-", "./data/ntu/tiny_dataset", LITE)
    printed = real("bash", "test_tipc/test_train_inference_python.sh", X_SUB, LITE)
    assert printed.count("Run successfully") == 11
    assert re.search(r"Loss: \d\.\d+.*avg_reader_cost: .*avg_batch_cost: .*avg_ips: ", printed)
    real("bash", "test_tipc/test_paddle2onnx.sh", ONNX)
    row = f"log/EfficientGCNB0/{LITE}/norm_train_gpus_-1_autocast_null"
    one = f"{row}/python_infer_cpu_usemkldnn_False_threads_1_precision_fp32_batchsize_1.jsonl"
    for logs in (f"{row}/python_infer_*.log", "log/EfficientGCNB0/paddle2onnx/*_cpu.log"):
        real("python", "test_tipc/compare_results.py", f"--gt_file={one}", f"--log_file={logs}")


@pytest.mark.full
@pytest.mark.parametrize("mode", ["lite_train_whole_infer", WHOLE, "whole_infer"])
def test_the_other_modes_print_only_success_on_demo_data(real, mode):
    real("bash", "test_tipc/prepare.sh", "-", "./data/ntu/demo_dataset", mode)
    printed = real("bash", "test_tipc/test_train_inference_python.sh", X_SUB, mode)
    steps = [line for line in printed.splitlines() if "Run " in line]
    assert len(steps) >= 9 and all("Run successfully" in line for line in steps), printed[-2000:]
    assert ("-> 1, for" in printed) == (mode == WHOLE)


@pytest.mark.full
def test_published_weights_give_the_stored_results(real, published):
    real("bash", "test_tipc/prepare.sh", "-", "./data/ntu/tiny_dataset", "whole_infer", published)
    real("bash", "test_tipc/test_train_inference_python.sh", X_SUB, "whole_infer")
    stored, logs = "test_tipc/results/EfficientGCNB0/*.jsonl", "log/EfficientGCNB0/whole_infer/python_infer_*.log"
    printed = real("python", "test_tipc/compare_results.py", f"--gt_file={stored}", f"--log_file={logs}")
    assert printed.count("Assert allclose passed!") == 8
