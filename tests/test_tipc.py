"""The TIPC scripts: their configuration files, what they run, what they say.

They run in a copy of the repository whose path has blanks, with a stand-in for python that notes its arguments.
"""

import re
import shutil
import subprocess

import pytest

import infer
import main
from options.schema import load_config
from tests.helpers.places import ROOT
from tests.helpers.tipc import INNER, LITE, ONNX, STATUS, WHOLE, X_SUB, X_VIEW, epochs_of, is_one_error_line

pytest_plugins = ["tests.helpers.tipc"]


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
    assert len(on_gpu) == 2 * 2  # of two rows, each with two batch sizes; the convention has half precision with TensorRT only
    assert all("--precision=fp32" in command and "--use_tensorrt=False" in command for command in on_gpu)


def test_two_gpus_train_together(ready):
    assert ready.train(GPUS="2").returncode == 0
    launched = [command for command in ready.commands if "paddle.distributed.launch" in command]
    assert len(launched) == 1
    assert launched[0][1:4] == ["-m", "paddle.distributed.launch", "--gpus=0,1"]
    assert "--gpus=0,1" in launched[0][5:]


def test_tensorrt_rows_are_skipped_with_a_word(ready):
    config = ready.root / X_SUB
    config.write_text(config.read_text().replace("--use_tensorrt:False", "--use_tensorrt:False|True"))
    assert ready.train(GPUS="1").returncode == 0
    pairs = {tuple(command[3:5]) for command in ready.commands if "--use-gpu=True" in command}
    assert pairs == {("--use_tensorrt=False", "--precision=fp32")}
    assert "Skipped: inference with --use_tensorrt=True, for infer.py has no TensorRT" in ready.status()


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
