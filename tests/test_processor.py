"""The training step against golden numbers, and what surrounds it: seeds, accumulation, losses that are not finite."""

import re

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

import processor
from initializer import build_model, build_optimizer
from options.schema import load_config
from processor import step_seed
from tests.helpers.runs import final, largest_difference, run
from training.checkpoint import load_weights, read_checkpoint
from training.runners import Runner, ThreadedRunner
from utils.errors import UserError


@pytest.mark.parametrize("way", [Runner, lambda model: ThreadedRunner(model, 3)], ids=["whole", "in parts"])
def test_three_training_steps_give_the_published_losses_and_gradients(golden, published, way):
    expected = golden("train_step_xsub")
    config = load_config("2001", [("model_args.drop_prob", "0.0")])
    model = build_model(config)
    load_weights(model, read_checkpoint(published), published)
    optimizer = build_optimizer(config, model, 0.01)
    features, labels, run = golden("feeder")["features"], paddle.to_tensor(expected["labels"]), way(model)
    model.train()
    noise = 0
    for number in range(3):
        loss = F.cross_entropy(run(features), labels)
        assert loss.item() == pytest.approx(expected["loss"][number], rel=1e-3)
        run.backward(loss)
        for name, parameter in model.named_parameters() if number == 0 else ():
            if parameter.stop_gradient:
                continue
            norm, wanted = parameter.grad.norm().item(), float(expected[f"grad_norm/{name}"])
            if wanted < 5e-3:  # biases before BN: rounding noise in the published form, zero in ours
                noise += 1
                assert norm < 1e-2, name
            elif wanted < 1e-2:  # one, in which terms of 2,000 in all cancel
                assert norm == pytest.approx(wanted, abs=1e-4), name
            else:
                assert norm == pytest.approx(wanted, rel=1e-3), name
        optimizer.step()
        optimizer.clear_grad()
    assert noise == 34


def test_step_seeds_differ_and_repeat():
    seeds = {step_seed(s, e, n, r) for s in range(3) for e in range(3) for n in range(5) for r in range(2)}
    assert len(seeds) == 90 and step_seed(1, 2, 3, 0) == step_seed(1, 2, 3, 0)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tiny_run):
    folder, argv = tiny_run
    for name, more in (("a", ["--workers=0"]), ("b", ["--workers=3"]), ("c", ["--seed=2"])):
        run([*argv, *more, "--work_dir", folder / name])
    (a, seen_a, _), (b, seen_b, _), (c, _, _) = (final(folder / name) for name in "abc")
    assert largest_difference(a, b) == 0 and seen_a == seen_b
    assert largest_difference(a, c) > 1e-3


def losses(monkeypatch, argv, work_dir, **changes):
    """Losses of a run whose starting weights are the same whatever the seed."""
    import initializer

    original = initializer.build_model
    monkeypatch.setattr(initializer, "build_model", lambda config: original(config.model_copy(update={"seed": 1})))
    run([*argv, "--work_dir", work_dir, *(f"--{key}={value}" for key, value in changes.items())])
    monkeypatch.setattr(initializer, "build_model", original)
    return [line["loss"] for line in final(work_dir)[1] if "step" in line]


@pytest.mark.parametrize("what", ["order", "dropout"])
def test_the_seed_alone_reaches_the_order_of_samples_and_dropout(tiny_run, monkeypatch, what):
    folder, argv = tiny_run
    argv = [*argv, f"--model_args.drop_prob={0 if what == 'order' else 0.5}"]
    if what == "dropout":
        monkeypatch.setattr(np.random, "default_rng", lambda _, original=np.random.default_rng: original(7))  # one order
    a, b, c = (losses(monkeypatch, argv, folder / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert a == b and a != c


def without_batch_norm(monkeypatch):
    """Batch statistics would tell two batches from one twice as large."""
    import initializer

    original = initializer.build_model

    def build_model(config):
        model = original(config)
        for layer in model.sublayers(include_self=True):
            for name, child in layer.named_children():
                if isinstance(child, paddle.nn.BatchNorm2D):
                    setattr(layer, name, paddle.nn.Identity())
        return model

    monkeypatch.setattr(initializer, "build_model", build_model)


def test_accumulating_two_batches_equals_a_batch_twice_as_large(tiny_run, monkeypatch):
    folder, argv = tiny_run
    without_batch_norm(monkeypatch)
    argv = [*argv, "--model_args.drop_prob=0", "--optimizer_args.Momentum.learning_rate=0.01"]
    for name, size, accumulate in (("whole", 4, 1), ("halves", 2, 2), ("half", 2, 1)):
        sizes = [f"--dataset_args.ntu.train_batch_size={size}", f"--accumulate={accumulate}"]
        run([*argv, *sizes, "--work_dir", folder / name])
    whole, halves, half = (final(folder / name)[0] for name in ("whole", "halves", "half"))
    assert largest_difference(whole, halves) < 1e-5
    assert largest_difference(whole, half) > 1e-3


def test_more_accumulation_than_batches_is_one_clear_line(tiny_run):
    with pytest.raises(UserError, match=r"accumulate 4 on 1 device.*14 training samples"):
        run([*tiny_run[1], "--accumulate=4"])


def test_gradients_are_clipped_by_their_global_norm(tiny_run, monkeypatch):
    import processor

    steps, original = [], processor.Trainer.update

    def update(self):
        rate, before = self.recipe.optimizer.get_lr(), [p.numpy().copy() for p in self.model.parameters()]
        norm = np.sqrt(sum(float((p.grad**2).sum()) for p in self.model.parameters() if not p.stop_gradient))
        original(self)
        moved = np.sqrt(sum(((p.numpy() - b) ** 2).sum() for p, b in zip(self.model.parameters(), before, strict=True)))
        steps.append((rate, norm, moved))

    monkeypatch.setattr(processor.Trainer, "update", update)
    momentum = ["--optimizer_args.Momentum." + text for text in ("momentum=0", "use_nesterov=false", "weight_decay=0")]
    run([*tiny_run[1], *momentum, "--clip_norm=0.05", "--model_args.drop_prob=0"])
    assert all(norm > 0.05 for _, norm, _ in steps) and steps[0][0] == 0
    for rate, _, moved in steps[1:]:
        assert moved == pytest.approx(rate * 0.05, rel=1e-3)


def test_mixed_precision_says_that_a_cpu_computes_in_float32_and_does(tiny_run, capsys):
    folder, argv = tiny_run
    run([*argv, "--work_dir", folder / "plain"])
    capsys.readouterr()
    run([*argv, "--work_dir", folder / "amp", "--amp", "O2", "--amp_dtype", "bfloat16"])
    assert "--amp O2: no GPU, so this run computes in float32" in capsys.readouterr().out
    assert largest_difference(final(folder / "plain")[0], final(folder / "amp")[0]) == 0


def test_a_traced_network_trains_and_scores_as_one_that_is_not(tiny_run, monkeypatch):
    from paddle.jit.dy2static.program_translator import StaticFunction

    folder, argv = tiny_run
    few = ["inputs=J", "eval_batch_size=7"]  # each shape of a batch is traced anew
    argv = [*argv, *(f"--dataset_args.ntu.{text}" for text in few), "--scheduler_args.cosine.max_epoch=1"]
    run([*argv, "--work_dir", folder / "plain", "--all_frames"])
    traced, original = [], StaticFunction.__call__
    monkeypatch.setattr(StaticFunction, "__call__", lambda self, *a, **k: traced.append(1) or original(self, *a, **k))
    run([*argv, "--work_dir", folder / "traced", "--to_static"])
    plain, static = final(folder / "plain"), final(folder / "traced")
    assert traced and list(plain[0]) == list(static[0]) and largest_difference(plain[0], static[0]) < 1e-4
    for a, b in zip(plain[1], static[1], strict=True):
        assert a == pytest.approx(b, rel=1e-4)


def test_nothing_is_read_or_exchanged_before_backward(tiny_run, monkeypatch):
    order, backward, send = [], ThreadedRunner.backward, processor.collectives.send_figures
    monkeypatch.setattr(ThreadedRunner, "backward", lambda *a: order.append("backward") or backward(*a))
    monkeypatch.setattr(processor.collectives, "send_figures", lambda *a: order.append("exchange") or send(*a))
    run(tiny_run[1])
    assert order[::2] == ["backward"] * (len(order) // 2) and set(order[1::2]) == {"exchange"}


def test_an_evaluation_has_the_precision_that_is_asked_for(tiny_run, monkeypatch):
    from training import precision

    folder, argv = tiny_run
    run(argv)
    asked, given, original = {"enable": False, "level": "O1"}, [], processor.evaluate
    monkeypatch.setattr(precision, "mixed_precision", lambda level, dtype: asked if (level, dtype) == ("O1", "bfloat16") else None)
    monkeypatch.setattr(processor, "evaluate", lambda *a, **k: given.append(k["amp"]) or original(*a, **k))
    run([*argv, "-e", "-pp", folder / "work" / "model.pdparams", "--amp=O1", "--amp_dtype=bfloat16"])
    assert given == [asked]


def test_the_loss_is_scaled_and_gradients_are_unscaled_before_the_step(tiny_run, monkeypatch):
    class Scaler:
        def __init__(self, enable, init_loss_scaling):
            self.scaled = 0

        def scale(self, loss):
            return loss * 1024  # a power of 2: exact

        def step(self, optimizer):
            for parameter in optimizer._parameter_list:
                paddle.assign(parameter.grad / 1024, parameter.grad)
            optimizer.step()

        def update(self):
            self.scaled += 1

        def is_enable(self):
            return True

        def state_dict(self):
            return {"scaled": self.scaled}

        def load_state_dict(self, state):
            self.scaled = state["scaled"]

    folder, argv = tiny_run
    argv = [*argv, "--accumulate=3"]
    run([*argv, "--work_dir", folder / "plain"])
    monkeypatch.setattr(paddle.amp, "GradScaler", Scaler)
    run([*argv, "--work_dir", folder / "scaled"])
    assert largest_difference(final(folder / "plain")[0], final(folder / "scaled")[0]) == 0
    last = final(folder / "scaled")[2] / "last.pdparams"
    assert read_checkpoint(last)["scaler"] == {"scaled": 3}
    run([*argv, "--work_dir", folder / "scaled", "-r", "--scheduler_args.cosine.max_epoch=4"])
    assert read_checkpoint(last)["scaler"] == {"scaled": 4}


def poison(folder, *samples):
    """Make training samples not a number; returns the names of samples."""
    data = np.load(folder / "npy/original/ntu-xsub/train_data.npy", mmap_mode="r+")
    data[list(samples)] = np.nan
    return [f"S002C002P001R{i + 1:03}A{i % 4 + 1:03}.skeleton" for i in samples]


def test_a_loss_that_is_not_finite_names_its_samples_and_stops(tiny_run):
    folder, argv = tiny_run
    (name,) = poison(folder, 5)
    with pytest.raises(UserError, match=rf"loss is not finite; samples .*{name}.*the last good checkpoint is .*last\.pdparams"):
        run(argv)
    read_checkpoint(next(folder.glob("work/*/*/last.pdparams")))


def test_samples_of_the_eval_split_that_are_not_finite_are_named(tiny_run, capsys):
    folder, argv = tiny_run
    data = np.load(folder / "npy/original/ntu-xsub/eval_data.npy", mmap_mode="r+")
    data[2] = np.nan
    run([*argv, "--scheduler_args.cosine.max_epoch=1"])
    assert "Not finite: logits of 1 sample, so the data or the weights are not: S001C001P003R003A003.skeleton" in capsys.readouterr().out
    assert all("eval_loss" not in line for line in final(folder / "work")[1])
    with pytest.raises(UserError, match=r"no report: logits of 1 sample are not finite.*: S001C001P003R003A003\.skeleton"):
        run([*argv, "-v", "-pp", folder / "work" / "model.pdparams"])


def test_the_settings_of_a_resumed_run_serve_any_job(tiny_run, capsys):
    folder, argv = tiny_run
    run(argv)
    run([*argv, "-r", "--scheduler_args.cosine.max_epoch=4"])
    out = capsys.readouterr().out
    assert re.findall("Changed since the run began: .*", out) == ["Changed since the run began: scheduler_args.cosine.max_epoch: 3 -> 4"]
    saved = final(folder / "work")[2]
    run(["-c", saved / "config.yaml", "-e", "-pp", saved / "last.pdparams"])


@pytest.mark.parametrize("samples, accumulate", [([5], 1), ([5], 3), (range(14), 1)])
def test_batches_whose_loss_is_not_finite_can_be_left_out(tiny_run, capsys, samples, accumulate):
    folder, argv = tiny_run
    names = poison(folder, *samples)
    run([*argv, "--skip_nonfinite=true", f"--accumulate={accumulate}"])
    out = capsys.readouterr().out
    assert "Left out: epoch 1, batch " in out and names[0] in out
    weights, figures, _ = final(folder / "work")
    assert all(np.isfinite(value).all() for value in weights.values())
    assert all(np.isfinite(value) for line in figures for value in line.values())
    used = 8 if len(names) == 1 else 0
    assert all(f"/{used}(" in line for line in out.splitlines() if "Training accuracy" in line) or len(names) == 1
