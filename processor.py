"""Training and evaluation of what it is handed: a network, loaders, a schedule, a run folder. It asks for no configuration."""

import signal
import time
from contextlib import closing

import numpy as np
import paddle
import paddle.nn.functional as F
from tqdm import tqdm

from evaluation.scores import Scores, save_class_table
from training import collectives
from training.checkpoint import save_checkpoint
from training.recorder import SUMS, Meter, averages, duration
from utils.errors import UserError
from utils.log import get_logger
from utils.process import stop_signals

LOG_EVERY = 100  # batches between lines of progress


def step_seed(*numbers):
    """A seed that is a function of `numbers` alone: dropout needs no saved state to go on exactly."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def evaluate(run, loader, *, amp=None, bar=False, after_batch=lambda: None):
    """(Scores, seconds): every sample of the split scored once by `run` (training/runners.py), over all ranks, in order."""
    run.model.eval()
    start, classes = time.time(), run.model.classifier.fc.weight.shape[0]
    logits, labels, indices = [np.zeros((0, classes), "float32")], [np.zeros(0, "int64")], [np.zeros(0, "int64")]
    batches = tqdm(loader, disable=not bar, desc="evaluate", leave=False, dynamic_ncols=True)
    right, seen = 0, 0
    for features, label, index in batches:
        with paddle.no_grad(), paddle.amp.auto_cast(**(amp or {"enable": False})):
            logits.append(run(features).astype("float32").numpy())
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
    log, count = get_logger().info, len(scores.labels)
    top1, top5 = int(scores.hits(1).sum()), int(scores.hits(5).sum())
    log(
        f"Top-1 accuracy: {top1}/{count}({top1 / count:.2%}), Top-5 accuracy: {top5}/{count}({top5 / count:.2%}), "
        f"Mean loss:{scores.mean_loss():.4f}"
    )
    log(f"Evaluating time: {seconds:.2f}s, Speed: {count / seconds / devices:.2f} sequences/(second*GPU)")
    return {"acc_top1": top1 / count, "acc_top5": top5 / count, "cm": scores.confusion()}


class Trainer:
    """Trains `run.model` to the last epoch, evaluating and saving on the way; state that a checkpoint needs is in `progress`.

    `evaluates_after(epoch)` says when to score; `recorder` takes figures, once in LOG_EVERY batches and once an epoch.
    `amp` is None or the arguments of paddle.amp.auto_cast; `accumulate` batches make one optimizer step. Randomness follows
    from (seed, epoch, batch, rank), and all sums are over all ranks: a checkpoint needs nothing else.
    """

    def __init__(
        self,
        *,
        run,
        optimizer,
        schedule,
        train_loader,
        eval_loader,
        folder,
        recorder,
        max_epoch,
        evaluates_after,
        class_names,
        seed,
        accumulate=1,
        amp=None,
        checkpoint_minutes=0,
        skip_nonfinite=False,
        bar=False,
        go_on="the same command and -r",
    ):
        self.run, self.model, self.optimizer, self.schedule = run, run.model, optimizer, schedule
        self.train_loader, self.eval_loader = train_loader, eval_loader
        self.folder, self.recorder, self.class_names = folder, recorder, class_names
        self.max_epoch, self.evaluates_after = max_epoch, evaluates_after
        self.seed, self.accumulate, self.skip_nonfinite, self.bar, self.go_on = seed, accumulate, skip_nonfinite, bar, go_on
        self.amp = amp or {"enable": False}
        self.scaler = paddle.amp.GradScaler(
            enable=self.amp["enable"] and self.amp["dtype"] == "float16", init_loss_scaling=65536.0
        )
        self.checkpoint_seconds = checkpoint_minutes * 60
        self.rank, self.world = paddle.distributed.get_rank(), paddle.distributed.get_world_size()
        self.steps = train_loader.batches.steps // accumulate * accumulate  # batches of an epoch
        self.best = {"acc_top1": 0.0, "acc_top5": 0.0, "cm": 0}
        self.epoch, self.progress = 0, self.fresh_progress(0.0)  # the epoch at work, from 0
        self.trained, self.signals = 0, []  # batches of this process
        self.statistics = [p for p in self.model.parameters() if p.stop_gradient]  # batch norm's running means and variances
        collectives.broadcast(self.model.parameters())

    def fresh_progress(self, seconds):
        """State of an epoch of which nothing is done yet; `seconds` since the run began."""
        return {"step": 0, "epoch": [0.0] * SUMS, "window": [0.0] * SUMS, "seconds": seconds, "world": self.world}

    def resume(self, epoch, best, progress, scaler):
        """Go on where a checkpoint stands (see checkpoint.training_state); weights and optimizer state are loaded already."""
        self.epoch, self.best = epoch + 1, best or self.best
        self.progress.update({key: value for key, value in (progress or {}).items() if key in self.progress})
        if self.progress["world"] != self.world:
            get_logger().info(f"Changed since the checkpoint: {self.progress['world']} -> {self.world} processes")
        step = min(self.progress["step"], self.steps)
        self.progress.update(step=step - step % self.accumulate, world=self.world)
        self.schedule.step((self.epoch * self.steps + self.progress["step"]) // self.accumulate)
        if scaler and self.scaler.is_enable() and scaler.keys() == self.scaler.state_dict().keys():
            self.scaler.load_state_dict(scaler)

    def save(self, name="last", finished=None):
        """Write a checkpoint to the run folder (rank 0); `last` keeps the one before it as previous.pdparams.

        `finished`: the epoch at work, where nothing of it is left to do.
        """
        if self.rank:
            return
        progress = self.progress if finished is None else self.fresh_progress(self.progress["seconds"])
        more = {"scaler": self.scaler.state_dict()} if self.scaler.is_enable() else {}
        save_checkpoint(
            self.folder / f"{name}.pdparams",
            self.model,
            self.optimizer,
            self.schedule,
            epoch=self.epoch - 1 if finished is None else finished,
            best_state=self.best,
            previous=self.folder / "previous.pdparams" if name == "last" else None,
            progress={**progress, "metrics": self.recorder.position},
            **more,
        )

    def train(self):
        """Train to the end. On SIGINT or SIGTERM: save, then KeyboardInterrupt or SystemExit(143)."""
        log, self.started = get_logger().info, time.time()
        self.begun = self.started - self.progress["seconds"]
        with stop_signals() as self.signals, closing(self.recorder):
            if not (self.folder / "last.pdparams").exists():
                self.save()  # from here on there is something to resume
            while self.epoch < self.max_epoch:
                costs = self.train_epoch()
                figures = {**averages(self.progress["epoch"], "train_"), "lr": self.optimizer.get_lr(), **costs}
                if self.evaluates_after(self.epoch):
                    self.save()  # a run killed while it evaluates goes on from here
                    self.score(figures)
                else:
                    self.recorder.add(epoch=self.epoch + 1, **figures)
                self.progress["seconds"] = time.time() - self.begun
                log(f"Saving model for epoch {self.epoch + 1}/{self.max_epoch} ...")
                self.save(finished=self.epoch)
                self.epoch, self.progress = self.epoch + 1, self.fresh_progress(self.progress["seconds"])
        log(f"Best top-1 accuracy: {self.best['acc_top1']:.2%}, Total time: {duration(time.time() - self.begun)}")

    def train_epoch(self):
        """One epoch, from `progress` on: fetch, forward, loss, backward, step, schedule, count. Returns what a batch cost."""
        self.model.train()
        state, saved = self.progress, time.time()
        self.train_loader.batches.set_epoch(self.epoch, state["step"])
        meter = Meter()
        start = window = meter.mark()
        bar = tqdm(
            total=self.steps,
            initial=state["step"],
            disable=not self.bar,
            leave=False,
            dynamic_ncols=True,
            desc=f"epoch {self.epoch + 1}/{self.max_epoch}",
        )
        for features, labels, indices in self.train_loader if state["step"] < self.steps else ():
            meter.fetched()
            paddle.seed(step_seed(self.seed, self.epoch, state["step"], self.rank))
            rate = self.optimizer.get_lr()
            sums, asked_to_stop = self.forward_backward(features, labels, indices)
            state["step"] += 1
            self.trained += 1
            for key in ("epoch", "window"):
                state[key] = [a + b for a, b in zip(state[key], sums, strict=True)]
            state["seconds"] = time.time() - self.begun
            whole = state["step"] % self.accumulate == 0  # gradients of half a step are in no checkpoint
            if whole:
                self.update()
            means = averages(state["epoch"])
            bar.set_postfix(
                {key: f"{value:.3f}" if key == "loss" else f"{value:.1%}" for key, value in means.items()}, refresh=False
            )
            bar.update()
            if state["step"] % LOG_EVERY == 0 or state["step"] == self.steps:
                self.report(rate, meter.figures(window, len(labels) * self.world))
                window = meter.mark()
            if asked_to_stop and whole:
                self.stop()
            if whole and self.checkpoint_seconds and time.time() - saved > self.checkpoint_seconds:
                self.save()
                saved = time.time()
            if state["step"] == self.steps:
                break
            meter.fetch()
        bar.close()
        hits, seen = int(state["epoch"][2]), int(state["epoch"][1])
        get_logger().info(
            f"Epoch: {self.epoch + 1}/{self.max_epoch}, Training accuracy: {hits}/{seen}({hits / max(seen, 1):.2%}), "
            f"Training time: {time.time() - start[2]:.2f}s"
        )
        return meter.figures(start, self.train_loader.batches.batch_size * self.world)

    def forward_backward(self, features, labels, indices):
        """(SUMS sums over all ranks, whether a rank was asked to stop) of one batch; its gradients are added."""
        before = [(t, t.clone()) for t in self.statistics] if self.skip_nonfinite else []
        with paddle.amp.auto_cast(**self.amp):
            logits = self.run(features).astype("float32")
        loss = F.cross_entropy(logits, paddle.to_tensor(labels))
        value, count, scores = loss.item(), len(labels), Scores([], labels, logits.numpy())
        good = bool(np.isfinite(value))
        mine = [value * count, count, scores.hits(1).sum(), scores.hits(5).sum(), 0] if good else [0, 0, 0, 0, 1]
        *sums, asked_to_stop = collectives.total([*mine, len(self.signals)])
        if sums[-1] == 0:
            self.run.backward(self.scaler.scale(loss / self.accumulate))
            return sums, asked_to_stop
        names = ", ".join(self.train_loader.feeder.names[i] for i in collectives.gather(indices[: 0 if good else None]))
        place = f"epoch {self.epoch + 1}, batch {self.progress['step'] + 1}: loss is not finite; samples {names}"
        if not self.skip_nonfinite:
            raise UserError(
                f"{place}; the last good checkpoint is {self.folder / 'last.pdparams'}; lower the learning rate, look at "
                "these samples, or leave such batches out (--skip_nonfinite true)"
            )
        get_logger().info(f"Left out: {place}")
        for tensor, value in before:
            paddle.assign(value, tensor)
        return [0.0, 0.0, 0.0, 0.0, 1.0], asked_to_stop

    def update(self):
        """One optimizer step, where its batches gave gradients, and one step of the schedule."""
        if any(p.grad is not None for p in self.model.parameters()):
            collectives.average_gradients(self.model.parameters())
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.optimizer.clear_grad(set_to_zero=False)
        self.schedule.step()

    def report(self, rate, costs):
        """Log and record the batches since the last report."""
        step, window = self.progress["step"], averages(self.progress["window"])
        self.progress["window"] = [0.0] * SUMS  # a resumed run reports the same means
        self.recorder.add(epoch=self.epoch + 1, step=self.epoch * self.steps + step, **window, lr=rate, **costs)
        loss, reader, speed = window.get("loss", float("nan")), costs["reader_cost"], costs["ips"]
        if not self.bar:
            get_logger().info(
                f"Epoch: {self.epoch + 1}/{self.max_epoch}, Batch: {step}/{self.steps}, Loss: {loss:.4f}, LR: {rate:.4f}, "
                f"avg_reader_cost: {reader:.5f} s, avg_batch_cost: {costs['batch_cost']:.5f} s, avg_ips: {speed:.1f} samples/s"
            )
        left = (self.max_epoch - self.epoch) * self.steps - step
        seconds = (time.time() - self.started) / self.trained * left
        if seconds > 60 and (step == self.steps or self.trained <= LOG_EVERY):
            get_logger().info(f"Time left: about {duration(seconds)}")

    def score(self, figures):
        """Score the eval split, log it, record it with the epoch's other `figures`, keep the best checkpoint."""
        get_logger().info(f"Evaluating for epoch {self.epoch + 1}/{self.max_epoch} ...")
        collectives.broadcast(self.statistics)  # ranks saw other batches: score what rank 0 saves
        scores, seconds = evaluate(
            self.run, self.eval_loader, amp=self.amp, bar=self.bar, after_batch=lambda: self.signals and self.stop()
        )
        state = log_scores(scores, seconds, self.world)
        better = state["acc_top1"] > self.best["acc_top1"] or not isinstance(self.best["cm"], np.ndarray)
        self.best = state if better else self.best
        self.recorder.add(
            epoch=self.epoch + 1,
            **figures,
            eval_top1=state["acc_top1"],
            eval_top5=state["acc_top5"],
            eval_loss=scores.mean_loss(),
        )
        if better and self.rank == 0:
            save_class_table(self.folder / "best_classes.csv", state["cm"], self.class_names)
            self.save("best", finished=self.epoch)

    def stop(self):
        """Save, say how to go on, end."""
        self.save()
        get_logger().info(
            f"Stopped at epoch {self.epoch + 1}/{self.max_epoch}, batch {self.progress['step']}; saved. Go on with {self.go_on}"
        )
        if signal.SIGINT in self.signals:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)
