"""How far this code is from the published one: forward, metric, loss, backward, schedule, training steps, as a table.

python -m benchmarks.alignment --golden DIR --weights xsub.pdparams      # DIR: outputs of the published code, docs/alignment.md
"""

import argparse
import copy
import re
import sys
import tempfile
from pathlib import Path

import numpy as np

from options.schema import load_config
from utils.command import run_command
from utils.errors import UserError
from utils.files import replacing
from utils.process import start_paddle, versions

STEPS_PER_EPOCH = 2505  # of the published x-sub run: 40,091 samples in batches of 16, the last partial one dropped
FRAMES = 288
ROUNDING_NOISE = 5e-3  # published gradients below this are of biases before batch norm: exactly zero but for rounding

PAGE = Path(__file__).parents[1] / "docs" / "alignment.md"  # its table is made here, all else is written by hand
HEAD = "| step | compared | largest difference | tolerance |\n| --- | --- | --- | --- |"


def row(step, compared, difference, tolerance, kind="relative"):
    """(a line of the table, what was compared if the difference is over its tolerance, else None)."""
    line = f"| {step} | {compared} | {difference:.1e} {kind} | {tolerance:.0e} |"
    return line, None if difference <= tolerance else compared


def apart(ours, published, kind="relative"):
    """Largest absolute difference, over the largest published value if `relative`."""
    ours, published = np.asarray(ours, "float64"), np.asarray(published, "float64")
    if ours.shape != published.shape:
        raise UserError(f"outputs of shape {ours.shape}, published {published.shape}: not the same thing")
    return float(np.abs(ours - published).max() / (np.abs(published).max() if kind == "relative" else 1))


def data_rows(golden, folder):
    """Raw files to data sets, graph, features."""
    import generator
    from dataset.features import branch_features
    from dataset.graph import NTU

    def absolute(step, compared, pairs, tolerance):
        return row(step, compared, max(apart(*pair, "absolute") for pair in pairs), tolerance, "absolute")

    expected, read = load(golden, "feeder"), load(golden, "reader")
    for split, transform, what in (("xsub", False, "coordinates in m"), ("xview", True, "after view normalisation")):
        generator.generate(f"ntu-{split}", [golden / "skeletons"], folder, transform, workers=1, progress=False)
        made = folder / ("transformed" if transform else "original") / f"ntu-{split}"
        pairs = [(np.load(made / f"{s}_data.npy"), read[f"{split}_{s}_data"]) for s in ("train", "eval")]
        yield absolute("reader", f"{split}: 15 recordings, {what}", pairs, 1e-5 if transform else 1e-6)
    yield absolute("graph", "adjacency of 11 hop distances", [(NTU.adjacency(), load(golden, "graph_ntu")["A"])], 1e-6)
    ours = branch_features(read["xsub_train_data"][expected["index"]][:, :, :FRAMES], NTU, "JVB")
    yield absolute("features", "branches J, V, B of 2 samples", [(ours, expected["features"])], 1e-5)


def load(golden, name):
    """Arrays of DIR/NAME.npz."""
    path = golden / f"{name}.npz"
    if not path.is_file():
        raise UserError(f"{path}: no such file; --golden must be the folder of the published code's outputs")
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def forward_rows(golden, model):
    """Maps of every stage and logits, then what is counted from logits."""
    import paddle

    from dataset.features import branch_features
    from dataset.graph import NTU
    from evaluation.scores import Scores

    expected, data, maps, layers = load(golden, "model_xsub"), load(golden, "reader"), {}, dict(model.named_sublayers())
    stages = [key.removeprefix("shape/") for key in expected if key.startswith("shape/")]
    for name in stages:
        layers[name].register_forward_post_hook(lambda _layer, _inputs, output, name=name: maps.update({name: output}))
    model.eval()
    with paddle.no_grad():
        logits, features = model(paddle.to_tensor(load(golden, "feeder")["features"]))
        means = {name: maps[name].numpy().mean((2, 3)) for name in stages}
        scored = model(paddle.to_tensor(branch_features(data["xsub_eval_data"][:, :, :FRAMES], NTU, "JVB")))[0]
    worst = max(apart(means[name], expected[f"channel_mean/{name}"]) for name in stages)
    yield row("forward", f"channel means of {len(stages)} stages", worst, 1e-4)
    yield row("forward", "feature map, means", apart(features.numpy().mean((2, 3, 4)), expected["feature_mean"]), 1e-4)
    yield row("forward", "logits of 2 training samples", apart(logits, expected["logits"]), 1e-4)
    yield row("forward", "logits of 4 evaluation samples", apart(scored, expected["eval_logits"]), 1e-4)
    ours = Scores([], data["xsub_eval_label"], scored.numpy())
    published, labels = paddle.to_tensor(expected["eval_logits"]), paddle.to_tensor(ours.labels)
    for k in (1, 5):
        worst = abs(ours.hits(k).mean() - paddle.metric.accuracy(published, labels.unsqueeze(1), k).item())
        yield row("metric", f"top-{k} of our logits, Paddle's own of the published ones", worst, 1e-9, "absolute")
    loss = paddle.nn.functional.cross_entropy(published, labels).item()
    yield row("metric", "mean loss, likewise", apart(ours.mean_loss(), loss), 1e-4)


def training_step(runner, features, labels):
    """(loss, {parameter: norm of its gradient}) of features (N, I, C, T, V, M), whose gradients are left in the network."""
    from paddle.nn.functional import cross_entropy

    loss = cross_entropy(runner(features), labels)
    runner.backward(loss)
    return loss.item(), {name: p.grad.norm().item() for name, p in runner.model.named_parameters() if not p.stop_gradient}


def training_rows(golden, model):
    """Loss, gradients and three steps of Momentum from the published weights, dropout off; gradients in float64 too."""
    import paddle

    from initializer import build_optimizer, build_runner
    from training.runners import Runner

    expected, runner = load(golden, "train_step_xsub"), build_runner(model)
    features, labels = load(golden, "feeder")["features"], paddle.to_tensor(expected["labels"])
    model.train()
    _, exact = training_step(Runner(copy.deepcopy(model).to(dtype="float64")), features.astype("float64"), labels)
    optimizer = build_optimizer(load_config("2001"), model, 0.01)
    for number, published in enumerate(expected["loss"]):
        loss, ours = training_step(runner, features, labels)
        if number == 0:
            yield row("loss", "first batch", apart(loss, published), 1e-3)
            theirs = {name: float(expected[f"grad_norm/{name}"]) for name in ours}
            yield from gradient_rows(ours, theirs, exact)
        else:
            yield row("training", f"loss after {number} step{'s' * (number > 1)} of Momentum", apart(loss, published), 1e-3)
        optimizer.step()
        optimizer.clear_grad()


def gradient_rows(ours, theirs, exact):
    """Norms of gradients by parameter: our own, the published ones, those in float64."""
    real = [name for name in ours if theirs[name] >= ROUNDING_NOISE]
    text = f"norms of {len(real)} gradients (those under 0.1: relative to 0.1)"
    pairs = {"": (ours, theirs), ", published against float64": (theirs, exact), ", ours against float64": (ours, exact)}
    for more, (norms, right) in pairs.items():
        worst = max(abs(norms[name] - right[name]) / max(right[name], 0.1) for name in real)
        yield row("backward", text + more, worst, 1e-3)
    noise = [max(ours[name], theirs[name]) for name in ours if name not in real]
    yield row("backward", f"norms of the other {len(noise)}, rounding noise there, against 0", max(noise), 1e-2, "absolute")


def schedule_row(state):
    """The rate that the published checkpoint holds against that of our schedule at its step."""
    from scheduler.lr_schedulers import FACTORS

    saved = state.get("scheduler")
    if not isinstance(saved, dict) or not {"last_epoch", "last_lr"} <= saved.keys():
        raise UserError("--weights: holds no schedule; must be the published x-sub checkpoint")
    step, args = saved["last_epoch"], load_config("2001").schedule.model_dump()
    text = f"rate at step {step:,} of {70 * STEPS_PER_EPOCH:,}, as the published checkpoint has it"
    rate = 0.1 * FACTORS["cosine"](step, STEPS_PER_EPOCH, **args)
    return row("schedule", text, apart(rate, saved["last_lr"]), 1e-9)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--golden", type=Path, required=True, metavar="DIR", help="outputs of the published code")
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE", help="the published x-sub checkpoint")
    parser.add_argument("--output", type=Path, default=PAGE, help="default: docs/alignment.md")
    options = parser.parse_args()
    start_paddle()
    from initializer import build_model
    from training.checkpoint import load_weights, read_checkpoint

    state = read_checkpoint(options.weights)
    model = build_model(load_config("2001", [("model_args.drop_prob", "0.0")]))
    load_weights(model, state, options.weights)
    with tempfile.TemporaryDirectory() as folder:
        rows = [*data_rows(options.golden, Path(folder)), *forward_rows(options.golden, model)]
    rows += [schedule_row(state), *training_rows(options.golden, model)]
    lines, over = "\n".join(line for line, _ in rows), [compared for _, compared in rows if compared]
    print(lines)
    table = f"<!-- table -->\n{versions().split(', commit')[0]}:\n\n{HEAD}\n{lines}\n<!-- end -->"
    page = re.sub("<!-- table -->.*<!-- end -->", lambda _: table, PAGE.read_text(encoding="utf-8"), flags=re.S)
    with replacing(options.output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    if over:
        raise UserError(f"{len(over)} differences are over their tolerance: {', '.join(over)}")
    print(f"Written: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
