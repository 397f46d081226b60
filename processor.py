"""Training and evaluation of what it is handed: a network, loaders, a schedule, a run folder. It asks for no configuration."""

import signal
import time
from collections import deque
from contextlib import closing

import numpy as np
import paddle
import paddle.nn.functional as F
from tqdm import tqdm

from evaluation.scores import Scores, save_class_table
from training import collectives
from training.checkpoint import save_checkpoint
from training.device import on_gpu, to_device
from training.progress import Progress, Sums
from training.recorder import Meter, duration, spoken
from utils.errors import UserError
from utils.log import get_logger
from utils.process import stop_signals

LOG_EVERY = 100  # batches between lines of progress
BAR = {"leave": False, "dynamic_ncols": True}


def step_seed(*numbers):
    """A seed that is a function of `numbers` alone: dropout needs no saved state to go on exactly."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def evaluate(runner, loader, *, amp=None, bar=False, after_batch=lambda: None):
    """(Scores, seconds): every sample of the loader's split scored once by a Runner, over all ranks, in order."""
    runner.model.eval()
    start, classes = time.time(), runner.model.classifier.fc.weight.shape[0]
    logits, labels, indices = [np.zeros((0, classes), "float32")], [np.zeros(0, "int64")], [np.zeros(0, "int64")]
    runner = runner if amp else runner.for_evaluation()
    batches, right, seen = tqdm(loader, "evaluate", disable=not bar, **BAR), 0, 0
    for features, label, index in batches:
        with paddle.no_grad(), paddle.amp.auto_cast(**(amp or {"enable": False})):
            logits.append(runner(features).astype("float32").numpy())
        labels.append(label)
        indices.append(index)
        right, seen = right + int((logits[-1].argmax(1) == label).sum()), seen + len(label)
        batches.set_postfix(top1=f"{right / seen:.1%}", refresh=False)
        after_batch()
    logits, labels, indices = (collectives.gather(np.concatenate(part)) for part in (logits, labels, indices))
    order = np.argsort(indices, kind="stable")
    if not np.array_equal(indices[order], np.arange(len(loader.feeder))):
        raise RuntimeError(f"evaluation scored {len(indices)} samples, the split has {len(loader.feeder)}")
    return Scores(loader.feeder.names[: len(order)], labels[order], logits[order]), time.time() - start


def log_scores(scores, seconds, devices=1):
    """Log the accuracy and speed lines of one evaluation; returns {acc_top1, acc_top5, cm}."""
    log, count = get_logger().debug, len(scores.labels)
    top1, top5 = int(scores.hits(1).sum()), int(scores.hits(5).sum())
    log(
        f"Top-1 accuracy: {top1}/{count}({top1 / count:.2%}), Top-5 accuracy: {top5}/{count}({top5 / count:.2%}), "
        f"Mean loss:{scores.mean_loss():.4f}"
    )
    bad = [name for name, logits in zip(scores.names, scores.logits, strict=True) if not np.isfinite(logits).all()]
    if bad:
        found = f"logits of {len(bad)} sample{'s' * (len(bad) > 1)}, so the data or the weights are not: {', '.join(bad[:10])}"
        get_logger().info(f"Not finite: {found}")
    log(f"Evaluating time: {seconds:.2f}s, Speed: {count / seconds / devices:.2f} sequences/(second*GPU)")
    return {"acc_top1": top1 / count, "acc_top5": top5 / count, "cm": scores.confusion()}


class Trainer:
    """Trains a Runner's network to the last epoch, evaluating and saving on the way.

    It is handed Data, a Recipe and an Output (training/recipe.py), and a ResumeState to begin at, whose weights and optimizer
    state are loaded already. What a checkpoint needs is in `epoch`, the epoch at work (from 0), `progress` in it and `best`; all
    sums are over all ranks.
    """

    def __init__(self, runner, data, recipe, output, state):
        self.runner, self.model, self.data, self.recipe, self.output = runner, runner.model, data, recipe, output
        self.amp = recipe.amp or {"enable": False}
        self.scaler = paddle.amp.GradScaler(
            enable=self.amp["enable"] and self.amp["dtype"] == "float16", init_loss_scaling=65536.0
        )
        if state.scaler and self.scaler.is_enable() and state.scaler.keys() == self.scaler.state_dict().keys():
            self.scaler.load_state_dict(state.scaler)
        self.rank, self.world = paddle.distributed.get_rank(), paddle.distributed.get_world_size()
        self.steps = data.train.batches.steps // recipe.accumulate * recipe.accumulate  # batches of an epoch
        self.epoch, self.best = state.epoch + 1, state.best or {"acc_top1": 0.0, "acc_top5": 0.0, "cm": 0}
        self.progress = state.progress or Progress(world=self.world)
        if self.progress.world != self.world:
            get_logger().info(f"Changed since the checkpoint: {self.progress.world} -> {self.world} processes")
        step = min(self.progress.step, self.steps)
        self.progress.step, self.progress.world = step - step % recipe.accumulate, self.world
        recipe.schedule.step((self.epoch * self.steps + self.progress.step) // recipe.accumulate)
        self.trained, self.signals = 0, []  # batches of this process
        self.late, self.sent = int(on_gpu()), deque()  # a GPU gets its next step before figures of the last one are waited for
        self.asked = np.zeros(2)  # to stop, to save: in figures of all ranks, so that they do it at the same step
        self.statistics = [p for p in self.model.parameters() if p.stop_gradient]  # batch norm's running means and variances
        collectives.broadcast(self.model.parameters())

    def save(self, name="last"):
        """Write a checkpoint to the run folder (rank 0); `last` keeps the one before it as previous.pdparams."""
        if self.rank:
            return
        state = {"epoch": self.epoch - 1, "best_state": self.best}
        state["progress"] = {**self.progress.plain(), "metrics": self.output.recorder.position}
        if self.scaler.is_enable():
            state["scaler"] = self.scaler.state_dict()
        path, previous = (self.output.folder / f"{stem}.pdparams" for stem in (name, "previous"))
        previous = previous if name == "last" else None
        save_checkpoint(path, self.model, self.recipe.optimizer, self.recipe.schedule, previous=previous, **state)

    def train(self):
        """Train to the end. On SIGINT or SIGTERM: save, then KeyboardInterrupt or SystemExit(143)."""
        log, self.started = get_logger(), time.time()
        self.run_start = self.started - self.progress.seconds
        with stop_signals() as self.signals, closing(self.output.recorder):
            if not (self.output.folder / "last.pdparams").exists():
                self.save()  # from here on there is something to resume
            while self.epoch < self.recipe.max_epoch:
                costs = self.train_epoch()
                figures, better = {**self.progress.epoch.means("train_"), "lr": self.recipe.optimizer.get_lr(), **costs}, False
                if self.recipe.evaluates_after(self.epoch):
                    self.save()  # a run killed while it evaluates goes on from here
                    better = self.score(figures)
                self.output.recorder.add(epoch=self.epoch + 1, **figures)
                log.debug(f"Saving model for epoch {self.epoch + 1}/{self.recipe.max_epoch} ...")
                log.info(self.summary(figures, better))
                self.epoch, self.progress = self.epoch + 1, Progress(seconds=time.time() - self.run_start, world=self.world)
                for name in ("best", "last") if better else ("last",):
                    self.save(name)
        self.seconds = time.time() - self.run_start
        log.debug(f"Best top-1 accuracy: {self.best['acc_top1']:.2%}, Total time: {duration(self.seconds)}")

    def summary(self, figures, better):
        """A line on the epoch at work, of its figures."""
        names = {"train_top1": "in training", "eval_top1": "in evaluation"}
        shares = ", ".join(f"{figures[key]:.2%} {name}" for key, name in names.items() if key in figures)
        return f"Epoch {self.epoch + 1} of {self.recipe.max_epoch}: top-1 {shares}{' (the best so far)' * better}"

    def train_epoch(self):
        """One epoch, from `progress` on: fetch, forward, loss, backward, step, schedule, count. Returns what a batch cost."""
        self.model.train()
        state, step, self.saved = self.progress, self.progress.step, time.time()
        self.data.train.batches.set_epoch(self.epoch, step)
        meter = Meter()
        start = window = meter.mark()
        title = f"epoch {self.epoch + 1}/{self.recipe.max_epoch}"
        bar = tqdm(desc=title, total=self.steps, initial=step, disable=not self.output.bar, **BAR)
        for features, labels, indices in meter.watch(self.data.train if step < self.steps else ()):
            paddle.seed(step_seed(self.recipe.seed, self.epoch, step, self.rank))
            rate = self.recipe.optimizer.get_lr()
            self.forward_backward(features, labels, indices)
            step, self.trained = step + 1, self.trained + 1
            whole = step % self.recipe.accumulate == 0  # gradients of half a step are in no checkpoint
            if whole:
                self.update()
            reports = step % LOG_EVERY == 0 or step == self.steps
            self.count(self.late)
            if reports or (whole and self.asked.any()):
                self.count()  # what is written is of all steps, and each step's loss was finite
            means = {key: f"{value:.3f}" if key == "loss" else f"{value:.1%}" for key, value in state.epoch.means().items()}
            bar.set_postfix(means, refresh=False)
            bar.update()
            if reports:
                self.report(rate, meter.figures(window, len(labels) * self.world))
                window = meter.mark()
            if whole and self.asked[0]:
                self.stop()
            if whole and self.asked[1]:
                self.save()
                self.asked, self.saved = np.zeros(2), time.time()
            if step == self.steps:
                break
        bar.close()
        hits, seen = int(state.epoch.top1), int(state.epoch.samples)
        get_logger().debug(
            f"Epoch: {self.epoch + 1}/{self.recipe.max_epoch}, Training accuracy: {hits}/{seen}({hits / max(seen, 1):.2%}), "
            f"Training time: {time.time() - start[2]:.2f}s"
        )
        return meter.figures(start, self.data.train.batches.batch_size * self.world)

    def forward_backward(self, features, labels, indices):
        """Add the gradients of one batch, and send its figures off."""
        skips = self.recipe.skip_nonfinite
        before = [(t, t.clone()) for t in self.statistics] if skips else []
        with paddle.amp.auto_cast(**self.amp):
            logits = self.runner(features).astype("float32")
        labels = to_device(labels)
        loss = F.cross_entropy(logits, labels)
        if not skips:  # before anything is read or exchanged, so that a GPU has its work ahead
            self.runner.backward(self.scaler.scale(loss / self.recipe.accumulate))
        asked = len(self.signals), 0 < 60 * self.output.checkpoint_minutes < time.time() - self.saved
        self.sent.append((collectives.send_figures(loss, logits, labels, *asked), loss.detach(), indices))
        if skips and self.count():
            self.runner.backward(self.scaler.scale(loss / self.recipe.accumulate))
        elif skips:
            for tensor, value in before:
                paddle.assign(value, tensor)

    def count(self, late=0):
        """Read the figures of batches and count them, all but the `late` newest; returns whether the last loss is finite.

        Raises UserError where one is not, unless such batches are left out.
        """
        good = True
        while len(self.sent) > late:
            read, loss, indices = self.sent.popleft()
            *sums, stop, save = read()
            self.asked += stop, save
            good = not sums[-1]
            if not good:
                mine = indices[: 0 if np.isfinite(loss.item()) else None]
                names = ", ".join(self.data.train.feeder.names[i] for i in collectives.gather(mine))
                place = f"epoch {self.epoch + 1}, batch {self.progress.step + 1}: loss is not finite; samples {names}"
                if not self.recipe.skip_nonfinite:
                    raise UserError(
                        f"{place}; the last good checkpoint is {self.output.folder / 'last.pdparams'}; lower the learning rate, "
                        "look at these samples, or leave such batches out (--skip_nonfinite true)"
                    )
                get_logger().info(f"Left out: {place}")
            self.progress.count(Sums(*sums) if good else Sums(left_out=1.0))
            self.progress.seconds = time.time() - self.run_start
        return good

    def update(self):
        """One optimizer step, where its batches gave gradients, and one step of the schedule."""
        if any(p.grad is not None for p in self.model.parameters()):
            collectives.average_gradients(self.model.parameters())
            self.scaler.step(self.recipe.optimizer)
            self.scaler.update()
            self.recipe.optimizer.clear_grad(set_to_zero=False)
        self.recipe.schedule.step()

    def report(self, rate, costs):
        """Log and record the batches since the last report."""
        step, means = self.progress.step, self.progress.window.means()
        self.progress.window = Sums()  # a resumed run reports the same means
        self.output.recorder.add(epoch=self.epoch + 1, step=self.epoch * self.steps + step, **means, lr=rate, **costs)
        if not self.output.bar:
            get_logger().debug(
                f"Epoch: {self.epoch + 1}/{self.recipe.max_epoch}, Batch: {step}/{self.steps}, "
                f"Loss: {means.get('loss', float('nan')):.4f}, LR: {rate:.4f}, avg_reader_cost: {costs['reader_cost']:.5f} s, "
                f"avg_batch_cost: {costs['batch_cost']:.5f} s, avg_ips: {costs['ips']:.1f} samples/s"
            )
        left = (self.recipe.max_epoch - self.epoch) * self.steps - step
        seconds = (time.time() - self.started) / self.trained * left
        if seconds > 60 and (step == self.steps or self.trained <= LOG_EVERY):
            get_logger().info(f"Time left: about {spoken(seconds)}")

    def score(self, figures):
        """Score the eval split, log it, put it with the epoch's other `figures`; returns whether it is the best so far."""
        get_logger().debug(f"Evaluating for epoch {self.epoch + 1}/{self.recipe.max_epoch} ...")
        collectives.broadcast(self.statistics)  # ranks saw other batches: score what rank 0 saves
        stop_if_asked = lambda: self.signals and self.stop()  # noqa: E731
        options = {"amp": self.recipe.amp, "bar": self.output.bar, "after_batch": stop_if_asked}
        scores, seconds = evaluate(self.runner, self.data.eval, **options)
        state = log_scores(scores, seconds, self.world)
        better = state["acc_top1"] > self.best["acc_top1"] or not isinstance(self.best["cm"], np.ndarray)
        self.best = state if better else self.best
        figures |= {"eval_top1": state["acc_top1"], "eval_top5": state["acc_top5"], "eval_loss": scores.mean_loss()}
        if better and self.rank == 0:
            save_class_table(self.output.folder / "best_classes.csv", state["cm"], self.data.class_names)
        return better

    def stop(self):
        """Save, say how to resume, end."""
        self.save()
        get_logger().info(
            f"Stopped at epoch {self.epoch + 1}/{self.recipe.max_epoch}, batch {self.progress.step}; saved. "
            f"Resume with {self.output.resume_with}"
        )
        if signal.SIGINT in self.signals:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)
