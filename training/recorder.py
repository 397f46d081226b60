"""How far a run is: figures to metrics.jsonl and TensorBoard, what a batch costs, time that is left. No Paddle."""

import json
import math
import time
from pathlib import Path

from utils.errors import UserError


class Recorder:
    """Figures of a run, to metrics.jsonl (a JSON object a line) and TensorBoard. `folder` None: nowhere."""

    def __init__(self, folder=None, position=0):
        """Continue after the first `position` bytes of metrics.jsonl: what a resumed run will do again is cut off.

        Raises UserError where what is kept are not such figures.
        """
        self.path = Path(folder) / "metrics.jsonl" if folder is not None else None
        if folder is None:
            return
        from tensorboardX.event_file_writer import EventsWriter  # SummaryWriter's thread outlives a full disk

        kept = self.path.read_bytes()[:position] if position and self.path.exists() else b""
        kept = kept[: kept.rfind(b"\n") + 1]
        try:
            records = [json.loads(line) for line in kept.splitlines()]
            with open(self.path, "ab") as file:
                file.truncate(len(kept))
            self.board = EventsWriter(str(Path(folder, "events")))
            self._event(0, session_log={"status": 1})  # START: TensorBoard forgets what earlier files hold
            for record in records:
                self._plot(record)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise UserError(f"{self.path}: not the figures of a run ({error}); move the file away") from error

    @property
    def position(self):
        return self.path.stat().st_size if self.path else 0

    def _plot(self, record):
        from tensorboardX.summary import scalar

        kind = "step" if "step" in record else "epoch"
        for key, value in record.items():
            if key not in ("step", "epoch"):
                self._event(record[kind], summary=scalar(f"{kind}/{key}", value))
        self.board.flush()

    def _event(self, step, **content):
        from tensorboardX.proto.event_pb2 import Event

        self.board.write_event(Event(wall_time=time.time(), step=step, **content))

    def add(self, **record):
        """Write one record; it has `epoch` (from 1) and, for figures of single steps, `step` (from 1 over the whole run).

        Figures that are not finite are left out: JSON has no such numbers.
        """
        record = {key: value for key, value in record.items() if math.isfinite(value)}
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            self._plot(record)

    def close(self):
        """End TensorBoard's file."""
        if self.path:
            self.board.close()


class Meter:
    """Seconds that batches take, in all and waiting for data."""

    def __init__(self):
        self.batches, self.waited = 0, 0.0

    def watch(self, batches):
        """Yield the batches."""
        asked = time.time()
        for batch in batches:
            self.batches, self.waited = self.batches + 1, self.waited + time.time() - asked
            yield batch
            asked = time.time()

    def mark(self):
        return self.batches, self.waited, time.time()

    def figures(self, mark, samples):
        """{reader_cost, batch_cost: seconds a batch; ips: samples a second} since `mark()` gave this mark; {} without batches.

        `samples`: of a batch.
        """
        batches, cost = self.batches - mark[0], time.time() - mark[2]
        if batches == 0:
            return {}
        return {"reader_cost": (self.waited - mark[1]) / batches, "batch_cost": cost / batches, "ips": samples * batches / cost}


def spoken(seconds):
    """Text like 13 h 58 min, 5 min, 48 s."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def duration(seconds):
    """Text like 00d-13h-58m-48s."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 1440:02d}d-{minutes // 60 % 24:02d}h-{minutes % 60:02d}m-{seconds:02d}s"
