"""Training and evaluation of what it is handed: a network, loaders, a schedule, a run folder. It asks for no configuration."""

import signal
import time
from contextlib import contextmanager, nullcontext

import numpy as np
import paddle
import paddle.nn.functional as F
from tqdm import tqdm

from dataset.scores import Scores
from model.checkpoint import save_checkpoint
from utils import UserError, get_logger

LOG_EVERY = 100  # batches between lines of progress


@contextmanager
def stop_signals():
    """Yield a list that SIGINT or SIGTERM fills with its number, instead of ending the process, so that it can save first."""
    seen = []
    old = {
        number: signal.signal(number, lambda number, _: seen.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield seen
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def step_seed(*numbers):
    """A seed that is a function of `numbers` alone: dropout needs no saved state to go on exactly."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def gather(array):
    """Rows of `array` (n, ...) of all ranks, one rank after another; ranks may have different n."""
    if paddle.distributed.get_world_size() == 1:
        return array
    counts, rows = [], []
    paddle.distributed.all_gather(counts, paddle.to_tensor([len(array)]))
    most = max(int(c.item()) for c in counts)
    padded = np.concatenate([array, np.zeros((most - len(array), *array.shape[1:]), array.dtype)])
    paddle.distributed.all_gather(rows, paddle.to_tensor(padded))
    return np.concatenate([part.numpy()[: int(c.item())] for part, c in zip(rows, counts, strict=True)])


def evaluate(model, loader, feeder, *, bar=False):
    """(Scores, seconds): every sample of the loader's split scored once, over all ranks, in order."""
    model.eval()
    start, logits, labels, indices = time.time(), [], [], []
    with paddle.no_grad():
        for features, label, index in tqdm(loader, disable=not bar, desc="evaluate", leave=False, dynamic_ncols=True):
            logits.append(model(paddle.to_tensor(features))[0].astype("float32").numpy())
            labels.append(label)
            indices.append(index)
    classes = model.classifier.fc.weight.shape[0]
    logits, labels, indices = (
        gather(np.concatenate(part) if part else empty)
        for part, empty in (
            (logits, np.zeros((0, classes), "float32")),
            (labels, np.zeros(0, "int64")),
            (indices, np.zeros(0, "int64")),
        )
    )
    order = np.argsort(indices, kind="stable")
    if not np.array_equal(indices[order], np.arange(len(feeder))):
        raise RuntimeError(f"evaluation scored {len(indices)} samples, the split has {len(feeder)}")
    return Scores([feeder.names[i] for i in range(len(feeder))], labels[order], logits[order]), time.time() - start


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
    """Trains `model` to the last epoch, evaluating and saving on the way; state that a checkpoint needs is in `progress`.

    `evaluates_after(epoch)` says when to score; `recorder` takes one dict of figures a step, epoch and evaluation. `amp` is
    None or the arguments of paddle.amp.auto_cast; `accumulate` batches make one optimizer step.
    """

    def __init__(
        self,
        *,
        model,
        optimizer,
        schedule,
        train_loader,
        train_feeder,
        eval_loader,
        eval_feeder,
        folder,
        recorder,
        max_epoch,
        evaluates_after,
        seed,
        accumulate=1,
        amp=None,
        checkpoint_minutes=0,
        skip_nonfinite=False,
        bar=False,
    ):
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.train_loader, self.train_feeder = train_loader, train_feeder
        self.eval_loader, self.eval_feeder = eval_loader, eval_feeder
        self.folder, self.recorder, self.max_epoch, self.evaluates_after = folder, recorder, max_epoch, evaluates_after
        self.seed, self.accumulate, self.skip_nonfinite, self.bar = seed, accumulate, skip_nonfinite, bar
        self.amp = amp or {"enable": False}
        self.scaler = paddle.amp.GradScaler(
            enable=self.amp.get("dtype") == "float16" and self.amp["enable"], init_loss_scaling=65536.0
        )
        self.checkpoint_seconds = checkpoint_minutes * 60
        self.rank, self.world = paddle.distributed.get_rank(), paddle.distributed.get_world_size()
        self.network = paddle.DataParallel(model) if self.world > 1 else model
        self.devices = max(1, self.world)
        self.best = {"acc_top1": 0.0, "acc_top5": 0.0, "cm": 0}
        self.epoch = 0  # the epoch at work, from 0
        self.start_epoch(0.0)

    def start_epoch(self, seconds):
        """Nothing of the epoch at work is done yet; `seconds` since the run began."""
        self.progress = {"step": 0, "correct": 0, "seen": 0, "losses": [], "seconds": seconds}

    def resume(self, state):
        """Go on where a checkpoint stands: weights and optimizer state are loaded already."""
        self.best = state.get("best_state") or self.best
        self.epoch = state["epoch"] + 1
        self.progress.update(state.get("progress") or {})
        steps = self.train_loader.batches.steps // self.accumulate
        done = self.progress["step"] // self.accumulate
        self.schedule.step(self.epoch * steps + done)
        if "scaler" in state:
            self.scaler.load_state_dict(state["scaler"])

    def save(self, name="last", finished=None):
        """Write a checkpoint to the run folder (rank 0); `last` keeps the one before it as previous.pdparams."""
        if self.rank:
            return
        path = self.folder / f"{name}.pdparams"
        if name == "last" and path.exists():
            path.replace(self.folder / "previous.pdparams")
        more = {"scaler": self.scaler.state_dict()} if self.scaler.is_enable() else {}
        save_checkpoint(
            path,
            self.model,
            self.optimizer,
            self.schedule,
            epoch=self.epoch - 1 if finished is None else finished,
            best_state=self.best,
            progress={**self.progress, "metrics": self.recorder.position},
            **more,
        )

    def train(self):
        """Train to the end. On SIGINT or SIGTERM: save, then KeyboardInterrupt or SystemExit(143)."""
        log, begun = get_logger().info, time.time() - self.progress["seconds"]
        with stop_signals() as signals:
            while self.epoch < self.max_epoch:
                self.train_epoch(signals, begun)
                if self.evaluates_after(self.epoch):
                    self.save()  # a run killed while it evaluates goes on from here
                    self.evaluate_and_keep_best()
                finished, self.epoch = self.epoch, self.epoch + 1
                self.start_epoch(time.time() - begun)
                log(f"Saving model for epoch {finished + 1}/{self.max_epoch} ...")
                self.save(finished=finished)
        minutes, seconds = divmod(int(time.time() - begun), 60)
        log(
            f"Best top-1 accuracy: {self.best['acc_top1']:.2%}, Total time: {minutes // 1440:02d}d-{minutes // 60 % 24:02d}h-"
            f"{minutes % 60:02d}m-{seconds:02d}s"
        )

    def train_epoch(self, signals, begun):
        """One epoch, from `progress` on: fetch, forward, loss, backward, step, schedule, count."""
        self.model.train()
        sampler, state, start = self.train_loader.batches, self.progress, time.time()
        total = sampler.steps // self.accumulate * self.accumulate
        sampler.set_epoch(self.epoch, state["step"])
        meter, saved = Meter(), start
        bar = tqdm(
            total=total,
            initial=state["step"],
            disable=not self.bar,
            leave=False,
            dynamic_ncols=True,
            desc=f"epoch {self.epoch + 1}/{self.max_epoch}",
        )
        for features, labels, indices in self.train_loader if state["step"] < total else ():
            meter.fetched()
            paddle.seed(step_seed(self.seed, self.epoch, state["step"], self.rank))
            rate = self.optimizer.get_lr()
            loss, correct = self.forward_backward(features, labels, indices)
            state["step"] += 1
            state["seen"] += len(labels)
            state["correct"] += correct
            state["seconds"] = time.time() - begun
            if state["step"] % self.accumulate == 0:
                self.update()
            state["losses"].append(loss)
            bar.update()
            if state["step"] % LOG_EVERY == 0 or state["step"] == total:
                self.report(meter, rate, total, len(labels) * self.world, bar)
            whole = state["step"] % self.accumulate == 0  # gradients of half a step are in no checkpoint
            if signals and whole:
                self.stop(signals[0])
            if whole and self.checkpoint_seconds and time.time() - saved > self.checkpoint_seconds:
                self.save()
                saved = time.time()
            if state["step"] == total:
                break
            meter.fetch()
        bar.close()
        correct, seen = (int(gather(np.array([state[key]])).sum()) for key in ("correct", "seen"))
        get_logger().info(
            f"Epoch: {self.epoch + 1}/{self.max_epoch}, Training accuracy: {correct}/{seen}"
            f"({correct / max(seen, 1):.2%}), Training time: {time.time() - start:.2f}s"
        )
        self.recorder.add(epoch=self.epoch + 1, train_top1=correct / max(seen, 1))

    def forward_backward(self, features, labels, indices):
        """(loss, correct predictions) of one batch; its gradients are added. Ranks exchange them at a step's last batch."""
        last = (self.progress["step"] + 1) % self.accumulate == 0
        with nullcontext() if last or self.world == 1 else self.network.no_sync():
            with paddle.amp.auto_cast(**self.amp):
                logits = self.network(paddle.to_tensor(features))[0]
            loss = F.cross_entropy(logits.astype("float32"), paddle.to_tensor(labels))
            value = loss.item()
            if not self.finite(value, indices):
                return value, 0
            self.scaler.scale(loss / self.accumulate).backward()
        return value, int((logits.argmax(1).numpy() == labels).sum())

    def finite(self, loss, indices):
        """Whether to use a batch. Raises UserError that names its samples where its loss is not finite, or logs it if skipped."""
        good = bool(np.isfinite(loss))
        if not good:
            names = ", ".join(self.train_feeder.names[i] for i in indices)
            place = f"epoch {self.epoch + 1}, batch {self.progress['step'] + 1}: loss is {loss}; samples {names}"
            if not self.skip_nonfinite:
                last = self.folder / "last.pdparams"
                raise UserError(
                    f"{place}; {f'the last good checkpoint is {last}' if last.exists() else 'no checkpoint yet'}; "
                    "lower the learning rate, look at these samples, or leave such batches out (--skip_nonfinite true)"
                )
            get_logger().info(f"Left out: {place}")
        return bool(gather(np.array([good])).all()) if self.skip_nonfinite else good

    def update(self):
        """One optimizer step and one step of the schedule."""
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.clear_grad()
        self.schedule.step()

    def report(self, meter, rate, total, batch, bar):
        """Log and record what the batches since the last report cost."""
        step, (reader, cost), loss = self.progress["step"], meter.read(), float(np.mean(self.progress["losses"]))
        self.progress["losses"] = []  # of the batches since the last report: a resumed run reports the same mean
        self.recorder.add(
            epoch=self.epoch + 1,
            step=self.epoch * total + step,
            loss=loss,
            lr=rate,
            reader_cost=reader,
            ips=batch / cost,
        )
        bar.set_postfix(loss=f"{loss:.3f}", top1=f"{self.progress['correct'] / self.progress['seen']:.1%}")
        if not self.bar:
            get_logger().info(
                f"Epoch: {self.epoch + 1}/{self.max_epoch}, Batch: {step}/{total}, Loss: {loss:.4f}, LR: {rate:.4f}, "
                f"avg_reader_cost: {reader:.5f} s, avg_batch_cost: {cost:.5f} s, avg_ips: {batch / cost:.1f} samples/s"
            )

    def evaluate_and_keep_best(self):
        """Score the eval split, log it, keep the best checkpoint."""
        get_logger().info(f"Evaluating for epoch {self.epoch + 1}/{self.max_epoch} ...")
        for buffer in (
            self.model.buffers() if self.world > 1 else ()
        ):  # ranks saw other batches: score what rank 0 saves
            paddle.distributed.broadcast(buffer, 0)
        scores, seconds = evaluate(self.model, self.eval_loader, self.eval_feeder, bar=self.bar)
        state = log_scores(scores, seconds, self.devices)
        self.recorder.add(
            epoch=self.epoch + 1, eval_top1=state["acc_top1"], eval_top5=state["acc_top5"], eval_loss=scores.mean_loss()
        )
        if state["acc_top1"] > self.best["acc_top1"] or not isinstance(self.best["cm"], np.ndarray):
            self.best = state
            self.save("best", finished=self.epoch)

    def stop(self, number):
        """Save, say how to go on, end."""
        self.save()
        get_logger().info(
            f"Stopped at epoch {self.epoch + 1}/{self.max_epoch}, batch {self.progress['step']}; saved. Go on with the "
            "same command and -r"
        )
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


class Meter:
    """Seconds that a batch takes, in all and to fetch, since the last reading."""

    def __init__(self):
        self.clear()
        self.fetch()

    def clear(self):
        self.batches, self.reader, self.start = 0, 0.0, time.time()

    def fetch(self):
        self.asked = time.time()

    def fetched(self):
        self.reader += time.time() - self.asked
        self.batches += 1

    def read(self):
        values = self.reader / self.batches, (time.time() - self.start) / self.batches
        self.clear()
        return values
