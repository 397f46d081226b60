"""How a command begins and ends. Imports next to nothing, so that it soon minds signals."""

import os
import signal
import sys

from .errors import UserError, printable


def run_command(main):
    """Run a program and return its exit code; what stops it becomes one line on stderr.

    `main` is a function, or the name of the module that has a `main()`: its imports are then part of the program. Exit code 2:
    a UserError, a disk or folder that can't be used, no memory left. SIGTERM unwinds the program as Ctrl-C does, so that nothing
    temporary stays.
    """
    stopped = []
    try:
        return _run(main, stopped) or 0
    except UserError as error:
        message = str(error)
    except KeyboardInterrupt:
        stopped.append(signal.SIGINT)
    except SystemExit as end:
        if end.code != 128 + signal.SIGTERM:
            raise
        stopped.append(signal.SIGTERM)
    except BrokenPipeError:  # the reader of our output went away: `main.py --check | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MemoryError as error:
        message = _out_of_memory(str(error))
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # a file's, not one of CUDA's: Paddle makes these OSErrors too
            message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        elif not stopped:  # none is lost: without a signal it goes on, with one it is what a library made of our own exception
            raise
    if stopped:
        print(f"stopped by {'Ctrl-C' if stopped[0] == signal.SIGINT else 'SIGTERM'}", file=sys.stderr)
        return 128 + stopped[0]
    from .terminal import paint

    print(f"{paint('error:', 'red', sys.stderr)} {printable(message)}", file=sys.stderr)
    return 2


def _out_of_memory(text):
    """What to say of a MemoryError: of a GPU's, how much was missing, as Paddle tells it."""
    missing = next((line.strip().rstrip(". ") for line in text.splitlines() if "Cannot allocate" in line and "GPU" in line), None)
    if missing is None:
        return "out of memory; end other programs, or use fewer workers or smaller batches"
    smaller = "a smaller train_batch_size with --accumulate, --amp O1 or a smaller num_frame"
    return f"{missing}; {smaller} takes less, or choose a GPU that no other program uses (-g)"


def _run(main, stopped):
    """main(); a signal adds its number to the list `stopped` and ends it by an exception."""
    here, minded = sys._getframe(), [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as in a shell's background
        minded.append(signal.SIGINT)

    def stop(number, frame):
        importer = None if stopped else _importer(frame, here)  # a second signal does not wait
        stopped.append(number)
        error = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
        if importer is None:
            raise error

        def trace(frame, *_):
            if frame is importer:
                raise error

        importer.f_trace = trace  # as of a debugger: called at the importer's next line
        sys.settrace(trace)

    try:
        for number in minded:
            signal.signal(number, stop)
        import importlib

        return importlib.import_module(main).main() if isinstance(main, str) else main()
    finally:
        for number in minded:  # Python's own end is no place for exceptions
            signal.signal(number, signal.SIG_DFL)


def _importer(frame, caller):
    """The frame that began the imports or finalisers in which `frame` is at work, as far as `caller`; None: it is in none.

    An exception raised within them is lost (in `__del__`, in importlib's callbacks) or becomes another (in a library in C).
    """
    importer = None
    while frame not in (caller, None):
        if frame.f_code.co_filename.startswith("<frozen importlib") or frame.f_code.co_name == "__del__":
            importer = frame.f_back
        frame = frame.f_back
    return importer
