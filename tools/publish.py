"""A checkpoint as a folder to publish: weights as safetensors, configuration, class names, record, model card, hashes.

python tools/publish.py workdir/RUN/best.pdparams b0_xsub -c 2001 --license CC-BY-4.0

Nothing of the machine goes into it: no optimizer state, no paths. `-pp b0_xsub` of main.py takes the folder as it is.
"""

import os
import sys

if __name__ == "__main__":  # before the imports, so that a signal during them is one line too
    sys.path.insert(0, os.path.realpath(f"{__file__}/../.."))
    from utils.command import run_command

    sys.exit(run_command("tools.publish"))

import json
from pathlib import Path
from string import Template

import yaml
from safetensors.numpy import save

from options.schema import FOLDER, load_config
from options.yaml_file import read_yaml
from utils.errors import UserError
from utils.files import replacing_folder, sha256
from utils.process import start_paddle
from utils.terminal import Parser

CARD = Path(__file__).parents[1] / "docs" / "model_card.md"
KEPT = ("dataset", "dataset_args", "model_type", "model_args")  # what a network and its input are
FILES = ("model.safetensors", "config.yaml", "class_names.txt", "record.json", "README.md", "SHA256SUMS")


def differing(values, defaults):
    """The nested dict `values` without what is as in `defaults` and without paths."""
    if not isinstance(values, dict) or not isinstance(defaults, dict):
        return values
    kept = {key: differing(value, defaults.get(key)) for key, value in values.items() if value != defaults.get(key)}
    return {key: value for key, value in kept.items() if not key.endswith(("_path", "_folder", "class_names"))}


def publish(checkpoint, folder, config, licence):
    """Write FILES to `folder`; raises UserError where the checkpoint doesn't fit, or other files stand there."""
    start_paddle()
    from export.record import export_record
    from initializer import build_model, class_names, skeleton_graph, why_misfit
    from training.checkpoint import load_weights, read_checkpoint, weights_file

    checkpoint = weights_file(checkpoint)
    state, model = read_checkpoint(checkpoint), build_model(config)
    load_weights(model, state, checkpoint, why=why_misfit)
    names = class_names(config)
    record = export_record(config, checkpoint, skeleton_graph(config), names)
    best = state.get("best_state") or {}
    scored = {key: f"{best[key]:.2%}" for key in ("acc_top1", "acc_top5") if isinstance(best.get(key), float)}
    card = Template(CARD.read_text(encoding="utf-8").split("---\n", 1)[1]).substitute(
        name=folder.name,
        config=config.config,
        dataset=config.dataset,
        network=config.model_type,
        layer=config.model_args.layer_type,
        parameters=f"{sum(parameter.size for parameter in model.parameters() if not parameter.stop_gradient):,}",
        classes=len(names),
        frames=config.data.num_frame,
        transform="view-normalised" if config.data.transform else "as recorded",
        source=record["source"]["sha256"],
        license=licence,
        top1=scored.get("acc_top1", "not recorded"),
        top5=scored.get("acc_top5", "not recorded"),
    )
    settings = {key: value for key, value in config.plain().items() if key in KEPT}
    named = {key: settings[key] for key in ("dataset", "model_type")} | differing(settings, read_yaml(FOLDER / "defaults.yaml"))
    texts = {
        "config.yaml": yaml.safe_dump(named, sort_keys=False),
        "class_names.txt": "".join(f"{name}\n" for name in names),
        "record.json": json.dumps(record | {"license": licence}, indent=1, ensure_ascii=False) + "\n",
        "README.md": card,
    }
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with replacing_folder(folder, FILES) as new:
        (new / FILES[0]).write_bytes(save(tensors, {"config": config.config, "license": licence}))
        for name, text in texts.items():
            (new / name).write_text(text, encoding="utf-8")
        (new / "SHA256SUMS").write_text("".join(f"{sha256(new / name)}  {name}\n" for name in FILES[:-1]), encoding="utf-8")


def main():
    parser = Parser(prog="tools/publish.py", description=__doc__)
    parser.add_argument("checkpoint", help=".pdparams")
    parser.add_argument("folder", type=Path, help="is made, or replaced where it is of this command")
    parser.add_argument("-c", "--config", required=True, help="configuration of the network, an ID or a YAML file")
    parser.add_argument("--license", required=True, metavar="NAME", help="of the weights, as CC-BY-4.0: you choose it")
    options = parser.parse_args()
    if not options.license.isprintable():
        raise UserError(f"--license {options.license!r}: must be one line")
    publish(options.checkpoint, options.folder, load_config(options.config), options.license)
    print(f"Written: {options.folder}; fill in what {options.folder / 'README.md'} asks for, then publish the folder")
